// Package health judges live objects: how each is, and what it shows of itself.
//
// In comes an object as a watch brought it, out goes a federation.Observation. It is
// pure. Whether a cluster is there at all, package probe finds out; what the clusters
// report beside our objects, package facts; what is wrong, package diagnose names.
package health
