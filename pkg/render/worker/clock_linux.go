package worker

import (
	"time"

	"golang.org/x/sys/unix"
)

// processorTime returns the CPU time of all threads of a process. A limit on it
// means the same on a busy machine.
func processorTime(pid int, _ time.Time) time.Duration {
	// The clock's id is the one that clock_getcpuclockid(3) returns.
	const scheduled = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
