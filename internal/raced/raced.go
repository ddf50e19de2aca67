// Package raced says whether a program is built with the race detector, and how much
// of a long test such a program plays.
package raced

// Share returns how many of n cases a test plays: all of them, or a fifth, and one at
// least, with the race detector, which makes each take up to ten times the processor.
// Command testrun plays both, of the tests that it lists.
func Share(n int) int {
	if Detector {
		return max(n/5, 1)
	}
	return n
}
