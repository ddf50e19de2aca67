// Package raced reports whether a program is built with the race detector, and how many
// cases of a long test such a program runs.
package raced

// Share returns how many of n cases a test runs: all of them without the race detector,
// and with it a fifth, but at least one. With it each case takes up to ten times the
// processor time. Command testrun runs the tests that it lists in both ways.
func Share(n int) int {
	if Detector {
		return max(n/5, 1)
	}
	return n
}
