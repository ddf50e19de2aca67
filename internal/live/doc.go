// Package live reads live objects of any kind.
//
// Its functions read values of the right type and skip others, since a cluster
// may report anything.
package live
