// Package claim decides which running fedsync may write to a member cluster.
//
// There is one claim per cluster and federation: a Lease in fedsync-system, with
// the token of the instance that writes there. It is written with a
// resourceVersion as a precondition before the first other write, watched from
// before that write, and never renewed. The greater token wins, and whoever meets
// a greater one yields.
//
// Watch events, reads and failures go in, one Verdict per cluster comes out. The
// rules are in table.go: pure, without a clock and without requests. writer.go
// shares them between the members of one process, state.go keeps the token for
// the next start, lease.go has the requests.
//
// A Lease does not fence: a request that was under way when another instance took
// over may still land, once.
package claim
