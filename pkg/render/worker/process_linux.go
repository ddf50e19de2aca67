package worker

import "syscall"

// attributes makes the process lead its own group, so that only the parent gets a
// terminal's interrupt.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// program returns a path of the running program, which stays valid if its file
// is replaced.
func program() (string, error) { return "/proc/self/exe", nil }
