//go:build !linux

package worker

import (
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

func program() (string, error) { return os.Executable() }
