//go:build unix && !linux

package child

import "syscall"

// attributes puts a child into the Unix group of leader, or a new one when there
// is none. Here the warden alone sees to it that no child outlives us.
func attributes(leader int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pgid: leader}
}
