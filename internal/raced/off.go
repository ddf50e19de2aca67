//go:build !race

package raced

// Detector reports whether the program is built with the race detector.
const Detector = false
