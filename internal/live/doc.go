// Package live reads live objects of any kind.
//
// Its functions take what has the right shape and skip the rest: what a cluster
// reports is not to be relied on.
package live
