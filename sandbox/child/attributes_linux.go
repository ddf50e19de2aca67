package child

import "syscall"

// attributes puts a child into the process group of leader, or into a new one if leader
// is 0, and asks the kernel to kill it when the thread that forks it ends.
func attributes(leader int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pgid: leader, Pdeathsig: syscall.SIGKILL}
}
