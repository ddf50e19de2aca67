// Package membertest has what tests of the packages that talk to member clusters share:
// a namespace in a real cluster, an API server over in-memory connections for tests
// with a clock of their own, and a wire that can be cut.
package membertest
