// Package health assesses live objects: the health of each, and what its status shows.
//
// Its input is an object from a watch, and its output is a federation.Observation. It is
// pure. Package probe determines whether a cluster answers, package facts collects what
// clusters report apart from managed objects, and package diagnose reports what is wrong.
package health
