// Package object has the two sides of one object: what Git wants, as it is sent, and
// what is remembered of the live object in a cluster.
//
// A [Desired] is a rendered object with the label of its inventory; [Forms] caches its
// JSON for all clusters. A [Live] is what a [Reader] extracts from a live object: its
// owner, the fields that are ours, and what other objects depend on. Package ownership
// interprets the managed fields. All of these are values that never block.
package object
