package child

import (
	"errors"

	"golang.org/x/sys/unix"
)

// awaitStop returns when all threads of the process have stopped, or it has ended. On a
// busy machine a thread may run for some milliseconds after the signal, long enough to
// answer a request.
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
