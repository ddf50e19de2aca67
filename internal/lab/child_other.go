//go:build !linux

package lab

import "syscall"

// apart keeps a Ctrl-C at the terminal from a child: this program ends it.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
