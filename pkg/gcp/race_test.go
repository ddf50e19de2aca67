//go:build race

package gcp

// short is how many of n cases the suite plays under the race detector, which makes
// each ten times as long. All of them are played without it.
func short(n int) int { return max(n/5, 1) }
