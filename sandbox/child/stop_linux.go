package child

import (
	"errors"

	"golang.org/x/sys/unix"
)

// awaitStop returns when the process has stopped as a whole, or has ended. On a
// busy machine a thread may go on for some milliseconds after the signal, long
// enough for an answer.
func awaitStop(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD):
			return nil // it has ended
		default:
			return err
		}
	}
}
