//go:build unix && !linux

package child

// awaitStop does nothing: on these systems, waiting for a stop could also reap the
// process, and its end would be lost to [Child.wait].
func awaitStop(int) error { return nil }
