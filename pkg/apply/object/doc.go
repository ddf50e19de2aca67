// Package object has the two sides of one object: what Git wants of it, as it is sent, and
// what is kept of it as it is in a cluster.
//
// A [Desired] is a rendered object with the label of its inventory; [Forms] remembers its
// JSON for all clusters. A [Live] is what a [Reader] keeps of a live object: whose it is,
// what is ours in it, and what other objects depend on. Package ownership has the
// arithmetic of managed fields behind it. All of these are values that never block.
package object
