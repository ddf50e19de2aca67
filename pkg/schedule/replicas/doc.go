// Package replicas decides how many replicas of a workload each cluster runs.
//
// Decide is pure: it divides a total by preferences and capacities, and moves the running
// counts towards that division without a gap. A count is lowered only when the replicas
// that replace it elsewhere are Ready.
package replicas
