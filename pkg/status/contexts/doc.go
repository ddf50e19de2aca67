// Package contexts holds repositories to the commit statuses that the operator allows.
//
// The names that a fedsync.yaml wishes for go in, and those under which statuses are posted
// come out, with a finding for each wish that is not granted.
package contexts
