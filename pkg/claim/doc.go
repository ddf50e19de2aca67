// Package claim decides which running fedsync may write to a member cluster.
//
// There is one claim per cluster and federation: a Lease in fedsync-system with the
// token of the instance that writes there. It is written before the first other write,
// with a resourceVersion as precondition. It is watched from before that write, and
// never renewed. The greater token wins: an instance that sees a greater token yields.
//
// The input is watch events, reads and failures; the output is one Verdict per cluster.
// The rules are in table.go, which has no clock and makes no requests. writer.go shares
// them between the members of one process, state.go stores the token for the next
// start, and lease.go makes the requests.
//
// A Lease does not fence: a request that was under way when another instance took over
// may still succeed, one time.
package claim
