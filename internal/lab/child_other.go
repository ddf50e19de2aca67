//go:build !linux

package lab

import "syscall"

// apart protects a child from a Ctrl-C at the terminal: this program ends the child.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
