// Package state holds everything known about one cluster: what Git wants, what the
// cluster shows, and what the last requests answered.
//
// A [State] has a [Row] for each object, an [App] for each app and its inventory, a
// [Kind] and a [Space] for what objects depend on, and the requests under way. What
// follows from these is not stored: package agenda computes what is due, and package
// standing computes how far the cluster is from the plan. A State does no I/O and has
// no lock; package table guards access to it and changes it.
package state
