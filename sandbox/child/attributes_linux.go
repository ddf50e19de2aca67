package child

import "syscall"

// attributes puts a child into the Unix group of leader, or a new one when there
// is none, and asks the kernel to kill it when the thread that forks it ends.
func attributes(leader int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pgid: leader, Pdeathsig: syscall.SIGKILL}
}
