// Package proposal prepares what package plan compares: the two sides of a proposed change.
//
// A side is one revision, rendered and scheduled by facts. The package decides which objects
// a cluster is asked about, what its answers mean, and what may be asked about Google Cloud.
// It sends no requests itself: fedsync plan and the planning of pull requests do.
package proposal
