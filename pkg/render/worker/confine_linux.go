package worker

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"

	"github.com/fedsync/fedsync/internal/raced"
)

// confine drops the privileges that a rendering does not need, before the process
// reads a byte of a repository. The niceness applies to all of its threads.
func confine(memory int64, niceness int) *hello {
	// The process leads its own group, which consists of its threads. A failure here
	// only costs other processes a little time, or leaves a core file.
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, niceness)
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData(processName+"\x00"))), 0, 0, 0)
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) // if the machine runs out of memory, kill this process before the parent
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{})

	h := &hello{}
	if err := limitMemory(memory); err != nil {
		h.Memory = err.Error()
	}
	if err := filter(); err != nil {
		h.Filter = err.Error()
	}
	return h
}

// limitMemory bounds the private writable memory of the process. RLIMIT_AS would
// also count what the runtime reserves and never uses: no Go program of this
// size starts under a sensible RLIMIT_AS.
func limitMemory(memory int64) error {
	if raced.Detector {
		return errors.New("the race detector uses memory of its own")
	}
	taken, err := dataSize()
	if err != nil {
		return err
	}
	limit := uint64(taken + memory)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("set RLIMIT_DATA: %w", err)
	}
	return nil
}

// dataSize returns the size of the process that RLIMIT_DATA limits, in bytes.
func dataSize() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if text, ok := bytes.CutPrefix(lines.Bytes(), []byte("VmData:")); ok {
			kilobytes, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(text, []byte("kB")))), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmData")
}

// needed are the system calls of a Go program that computes, and reads and writes
// pipes: for memory, threads, signals and clocks. Everything else is refused with
// EPERM: files, sockets, programs, other processes.
var needed = []string{
	"brk", "madvise", "mincore", "mmap", "mprotect", "mremap", "munmap",
	"exit", "exit_group", "futex", "get_robust_list", "getpid", "gettid", "rseq", "sched_getaffinity", "sched_yield",
	"set_robust_list", "set_tid_address",
	"restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
	"clock_gettime", "clock_nanosleep", "gettimeofday", "nanosleep",
	"close", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2", "fstat", "poll", "ppoll", "read", "write",
	"getrandom", "getrusage",
}

// flags allows one of the commands of fcntl that read and set flags.
func flags(command uint64) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{Name: "fcntl", Conditions: seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.Equal, Value: command}}}
}

// filter installs the filter of system calls for all threads, and tests it.
func filter() error {
	info, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	var allowed []string
	for _, name := range needed { // some exist only on some architectures
		if _, ok := info.SyscallNames[name]; ok {
			allowed = append(allowed, name)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno, // EPERM
			Syscalls: []seccomp.SyscallGroup{
				{Names: allowed, Action: seccomp.ActionAllow},
				{Action: seccomp.ActionAllow, NamesWithCondtions: []seccomp.NameWithConditions{
					// Threads, but not processes.
					{Name: "clone", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: unix.CLONE_THREAD}}},
					// The runtime names its memory.
					{Name: "prctl", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: unix.PR_SET_VMA}}},
					// The runtime interrupts its own threads. Without the condition, the
					// call could kill other processes, such as the parent.
					{Name: "tgkill", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: uint64(os.Getpid())}}},
					// F_SETOWN and F_SETSIG would make a pipe send signals to any
					// process.
					flags(unix.F_GETFL), flags(unix.F_SETFL), flags(unix.F_GETFD), flags(unix.F_SETFD),
				}},
				// A filter cannot inspect its arguments. The C library falls back to clone
				// if it is missing.
				{Names: []string{"clone3"}, Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS)},
			},
		},
	})
	if err != nil {
		return err
	}
	// If the filter cannot be set for one thread, no thread has it, and the call's
	// result is easily overlooked.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	if !errors.Is(err, syscall.EPERM) {
		return errors.New("the filter of system calls does not take effect")
	}
	return nil
}
