//go:build !race

package worker

// raceDetector says whether the program was built with the race detector, which
// takes many times the memory.
const raceDetector = false
