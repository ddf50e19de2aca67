// Package proposal prepares what package plan compares: the two sides of a proposed change.
//
// A side is one revision, rendered and scheduled by facts. Of both together it says which
// objects a cluster is to be asked about, what a cluster's answers mean, and what may be asked
// about Google Cloud. It asks nobody itself: fedsync plan and the planning of pull requests do.
package proposal
