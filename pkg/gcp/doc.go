// Package gcp defines the types that the packages below it share. Together they
// maintain a global load balancer on Google Cloud for the federated Ingresses: one
// address, in front of every member cluster, that no cluster can take down.
//
// A pure function returns the wanted resources (package balancer), and a second one
// the actions that lead to them from the observed ones (package planner). Only the
// keeper (package keeper) reads and writes Compute Engine, through a [Cloud] (package
// gce). Package traffic reports what serves now.
//
//	Federation, Plan, Facts ──┐
//	                          ├─ balancer.Build ─ Wanted ─┐
//	Cloud.Observe ─ Observed ─┤                           ├─ planner.Plan ─ Actions ─ Cloud.Do
//	                          └───────────────────────────┘
//
// The resources are the only memory: ownership, and whatever must survive a restart,
// is JSON in the description of each resource ([Mark]). A turn that is interrupted at
// any point is followed by another one, which starts from what is there.
package gcp
