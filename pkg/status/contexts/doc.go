// Package contexts restricts repositories to the commit statuses that the operator
// allows.
//
// The names that a fedsync.yaml wishes for go in. The names under which statuses are
// posted come out, with a finding for each refused wish.
package contexts
