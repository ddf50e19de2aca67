// Package gcp keeps a global load balancer on Google Cloud for the federated
// Ingresses: one address, in front of every member cluster, that no cluster can take
// down.
//
// Its flow is that of the whole: a pure function returns what there should be
// (package balancer), a second one how to get there from what there is (package
// planner), and only the keeper (package keeper) asks and tells Compute Engine anything,
// through a [Cloud] (package gce). Package traffic tells what serves now. This package
// has the words that they share.
//
//	Federation, Plan, Facts ─┐
//	                         ├─ balancer.Build ─ Wanted ─┐
//	Cloud.Look ── Observed ──┤                           ├─ planner.Plan ─ Actions ─ Cloud.Do
//	                         └───────────────────────────┘
//
// Nothing is remembered beside what is there: ownership, and what must be known
// across a restart, stands as JSON in the description of each resource ([Mark]).
// A round that was cut at any point is followed by another, from what it left.
package gcp
