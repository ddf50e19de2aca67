// Package replicas decides how many replicas of a workload each cluster runs.
//
// Decide is pure: it divides a total by preferences and capacities, and moves from what
// runs towards that without a gap: what is raised somewhere is ready before it is
// lowered elsewhere.
package replicas
