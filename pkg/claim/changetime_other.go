//go:build unix && !linux

package claim

import "syscall"

// changeTime returns zero: the field has a different name on each system.
func changeTime(*syscall.Stat_t) int64 { return 0 }
