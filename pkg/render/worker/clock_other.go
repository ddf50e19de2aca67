//go:build !linux

package worker

import "time"

// processorTime returns the time since the process was started, where the system
// does not say how long it has run.
func processorTime(_ int, started time.Time) time.Duration { return time.Since(started) }
