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

// Warden reads in until it ends, which is when the caller ends. Then it kills the
// process group that was named on in and removes dir. It is the body of the command
// that [NewGroup] starts.
func Warden(in io.Reader, dir string) error {
	// These signals are meant for the caller, whose end we notice by the pipe.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	input, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("wait for the end of the caller: %w", err)
	}
	group := 0
	if line := strings.TrimSpace(string(input)); line != "" {
		if group, err = strconv.Atoi(line); err != nil {
			return fmt.Errorf("read the id of the process group: %w", err)
		}
	}
	return sweep(group, dir)
}

// patience is how long a killed program may take to release its files.
const patience = 5 * time.Second

// sweep kills a process group, unless group is 0, and removes dir. It repeats both,
// since a program that is being killed may still add a file.
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
			// The children are killed, but their new parent has not reaped them
			// yet. They no longer run and hold no resources.
			return nil
		}
	}
}
