// Package state has all that is known of one cluster: what Git wants of it, what it shows,
// and what the last requests answered.
//
// A [State] has a [Row] for each object, an [App] for each app and its inventory, a [Kind]
// and a [Space] for what objects stand on, and what is being asked now. Nothing that follows
// from these is remembered beside them: what is due is computed by package agenda, and how
// far the cluster is from the plan by package standing. A State does no I/O and has no lock;
// package table has both sides: who may look at it, and what changes it.
package state
