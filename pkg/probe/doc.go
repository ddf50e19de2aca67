// Package probe checks whether a cluster is available.
//
// A Prober sends a request to its API server every few seconds and reports a Probe at
// every change. The Tracker, which derives the cluster's state from the answers, is pure.
package probe
