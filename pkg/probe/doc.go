// Package probe finds out whether a cluster is there.
//
// A Prober asks its API server every few seconds and reports a Probe at every change.
// The Tracker, which decides what the answers make of the cluster's state, is pure.
package probe
