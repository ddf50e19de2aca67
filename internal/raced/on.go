//go:build race

package raced

// Detector says whether the program is built with the race detector.
const Detector = true
