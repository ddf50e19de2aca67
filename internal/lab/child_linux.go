package lab

import "syscall"

// apart protects a child from a Ctrl-C at the terminal: this program ends the child. If
// this program is killed, the kernel ends it.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
