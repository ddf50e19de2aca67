//go:build !race

package gcp

// short is how many of n cases the suite plays.
func short(n int) int { return n }
