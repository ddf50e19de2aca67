package child

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Warden waits until in ends, which is when the one who holds its other end is
// gone, then kills the Unix group that was named on it and removes dir. It is the
// body of the command that [NewGroup] starts.
func Warden(in io.Reader, dir string) error {
	// What asks a program to end is meant for the caller, and reaches us by it.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	said, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("wait for the end of the caller: %w", err)
	}
	group := 0
	if line := strings.TrimSpace(string(said)); line != "" {
		if group, err = strconv.Atoi(line); err != nil {
			return fmt.Errorf("read the id of the group: %w", err)
		}
	}
	return sweep(group, dir)
}

// patience is how long a killed program may take to let go of its files.
const patience = 5 * time.Second

// sweep kills a Unix group, 0 meaning that there is none, and removes dir. It
// repeats both, since a program that is being killed may still add a file.
func sweep(group int, dir string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(patience)
	for {
		gone := group <= 1 || errors.Is(syscall.Kill(-group, syscall.SIGKILL), syscall.ESRCH)
		err := os.RemoveAll(dir)
		if err == nil {
			_, err = os.Lstat(dir)
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		switch {
		case gone && err == nil:
			return nil
		case time.Now().Before(end):
			<-tick.C
		case err != nil:
			return fmt.Errorf("remove %s: %w", dir, err)
		default:
			// Killed, but not yet collected by whoever inherited them. They run
			// no more and hold nothing.
			return nil
		}
	}
}
