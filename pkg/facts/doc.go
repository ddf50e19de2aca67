// Package facts collects what one cluster reports.
//
// It consumes the events of the cluster's watches. A View holds an observation of each
// object of ours. A Collector derives the rest of federation.ClusterFacts, such as node
// ports, workloads and their capacity, quotas and nodes. Neither retains the objects.
// Only the Collector's Run sends requests to a cluster.
package facts
