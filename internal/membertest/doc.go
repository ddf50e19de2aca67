// Package membertest is shared by the tests of packages that talk to member clusters: a
// namespace in a real cluster, an API server over in-memory connections for tests with a
// fake clock, and a network connection that can be cut.
package membertest
