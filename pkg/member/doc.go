// Package member manages one member cluster.
//
// A Member takes plans and reports outcomes. It has one session at a time: a
// connection, and everything learned over it. The session's loop (session.go) checks
// for work whenever something changes, and never waits for an answer. pkg/probe and
// pkg/watch observe the cluster, pkg/apply writes to it, and pkg/claim decides whether
// writes are allowed. watches.go passes watch events to the packages that need them.
// standing.go is the only place that decides the state of a cluster.
//
// A Client is the connection to the cluster. Every request except probes goes through
// one HTTP client, which follows no redirect. Kinds are the kinds that the API server
// serves. They distinguish a kind that does not exist from one that cannot be looked up
// now.
package member
