//go:build unix && !linux

package child

import "syscall"

// attributes puts a child into the process group of leader, or into a new one if leader
// is 0. On these systems only the warden ensures that no child outlives us.
func attributes(leader int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pgid: leader}
}
