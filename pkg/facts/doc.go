// Package facts collects what one cluster reports.
//
// In come the events of its watches: a View keeps an observation of each object of
// ours, a Collector adds up the rest to federation.ClusterFacts, such as node ports,
// workloads and their capacity, quotas and nodes. Both keep what they read and not the
// objects. Only the Collector's Run talks to a cluster.
package facts
