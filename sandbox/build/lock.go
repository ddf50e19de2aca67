package build

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock locks the file at path for this process alone. It calls waiting if another
// process holds the lock. The kernel releases the lock however we end, so no stale
// lock can remain.
func lock(path string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	take := func(how int) error {
		for {
			if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
				return err
			}
		}
	}
	err = take(syscall.LOCK_EX | syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		waiting()
		err = take(syscall.LOCK_EX)
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, errors.Join(err, f.Close()))
	}
	return func() { _ = f.Close() }, nil
}
