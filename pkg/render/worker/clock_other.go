//go:build !linux

package worker

import "time"

// processorTime returns the time since the process was started, since this
// system does not report its CPU time.
func processorTime(_ int, started time.Time) time.Duration { return time.Since(started) }
