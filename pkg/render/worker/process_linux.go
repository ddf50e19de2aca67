package worker

import "syscall"

// attributes make the process the leader of a group of its own, so that a terminal's
// interrupt is the parent's to answer.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// program is the running program itself, also when its file has been replaced.
func program() (string, error) { return "/proc/self/exe", nil }
