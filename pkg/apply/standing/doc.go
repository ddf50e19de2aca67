// Package standing computes how far a cluster is from its plan, and why. It is a pure
// function of the cluster's state and the time.
//
// Its input is a state. Its output is a [Standing] with the changes that were made and
// a finding for each change that could not be made. It is computed each time, so that
// what was fixed is gone from it.
package standing
