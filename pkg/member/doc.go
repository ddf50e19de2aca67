// Package member is one member cluster as fedsync deals with it.
//
// A Member takes plans and reports outcomes. It has one session at a time: a
// connection, and all that was learned over it. The session's loop (session.go) looks
// what there is to do whenever something changes, and never waits for an answer:
// pkg/probe and pkg/watch look, pkg/apply writes, pkg/claim says whether it may.
// watches.go takes what the watches bring to whom it concerns; standing.go is the one
// place where the state of a cluster is decided.
//
// Client is the way to the cluster: every request that is not a probe goes through one
// HTTP client, which follows no redirect. Kinds are what its API server serves, and
// tell a kind that does not exist from one that cannot be looked up now.
package member
