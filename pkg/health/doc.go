// Package health judges live objects and clusters, and collects what the
// clusters report.
//
// In come a cluster's answers: to the Prober, which asks every few seconds
// whether the cluster is there, and to the Watcher, which holds the watches.
// Out go plain values: a Probe at every change of a cluster's state, an Event at
// every change of an object. From these come a federation.Observation per object,
// which Judge makes and a View keeps, and the federation.ClusterFacts, which the
// Collector adds up. Judge, Aggregate and the Tracker are pure; only the
// Prober, the Watcher and the Collector's Run talk to a cluster, each about one.
//
// What to watch, what to do about a cluster that is away, and whom to tell is
// decided elsewhere: the daemon wires the stages, diagnose names what is wrong.
package health
