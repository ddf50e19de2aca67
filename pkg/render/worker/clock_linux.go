package worker

import (
	"time"

	"golang.org/x/sys/unix"
)

// processorTime returns the time that all threads of a process have run: a limit on
// it means the same on a machine that is busy.
func processorTime(pid int, _ time.Time) time.Duration {
	// The id of the clock is that of clock_getcpuclockid(3).
	const scheduled = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
