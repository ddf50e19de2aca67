// Package standing says how far a cluster is from its plan, and why: a pure function of its
// state and the time.
//
// In goes a state; out comes a [Standing] with the changes that were made and the findings
// of what could not be. It is computed each time, so that what was corrected is gone from it.
package standing
