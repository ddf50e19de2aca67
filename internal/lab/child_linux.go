package lab

import "syscall"

// apart keeps a Ctrl-C at the terminal from a child: this program ends it. Should this
// program be killed, the kernel does.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
