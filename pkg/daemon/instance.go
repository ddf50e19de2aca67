//go:build unix

package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// instance is the name under which this process writes to clusters. A restart
// must find its own name there, or it would have to write it anew; a second
// process on the same machine must not. So the name is the host's and the number
// of the first lock that is free, and the lock goes with the process, however it
// ends.
type instance struct {
	Name   string
	Number int // 0 unless others of this source run on this machine
	lock   *os.File
}

// newInstance takes the first number for this source on this machine that is
// free: also under the former digests of the source, by which a daemon of an
// earlier version still holds its own.
func newInstance(dir, source string, former ...string) (*instance, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this instance: %w", err)
	}
	for n := 0; ; n++ {
		path := instanceLock(dir, source, n)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("name this instance: %w", err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && heldByEarlier(dir, former, n) {
			_ = f.Close()
			continue
		}
		if err == nil {
			return &instance{Name: fmt.Sprintf("%s-%d", host, n), Number: n, lock: f}, nil
		}
		_ = f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

func instanceLock(dir, source string, n int) string {
	return filepath.Join(dir, fmt.Sprintf("instance-%s-%d.lock", source, n))
}

// heldByEarlier reports whether a daemon of an earlier version has the number. It
// keeps none of the locks: a former digest may be that of other repositories too.
func heldByEarlier(dir string, former []string, n int) bool {
	for _, source := range former {
		f, err := os.Open(instanceLock(dir, source, n))
		if err != nil {
			continue // no earlier version ran here
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return true
		}
	}
	return false
}

// Close frees the name.
func (i *instance) Close() error {
	if i.lock == nil {
		return nil
	}
	return i.lock.Close()
}
