// Package watch holds the watches of one cluster.
//
// In goes a set of what to watch, out come Events: every object of a list, and every
// change of one after it. A watch that ends is taken up where it stood; what cannot
// be taken up is listed anew, and what was missed shows as changes.
package watch
