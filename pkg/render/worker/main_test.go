package worker

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// probeName is the program's name (argument 0) in the process that tries what a
// confined process can do.
const probeName = "fedsync-worker-probe"

func TestMain(m *testing.M) {
	Serve()
	if os.Args[0] == probeName {
		probe()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// probe confines the process, and prints each action that still succeeds.
func probe() {
	before, err := os.Open("/proc/self/status") // so that opening the first file in a thread is not what fails
	if err != nil {
		fmt.Fprintln(os.Stdout, "open before:", err)
		return
	}
	_ = before.Close()
	h := confine(DefaultMemory, DefaultNiceness)
	if h.Filter != "" {
		fmt.Fprintln(os.Stdout, "no filter:", h.Filter)
		return
	}
	results := make(chan string)
	for name, try := range map[string]func() error{
		"dial": func() error { _, err := net.Dial("tcp", os.Args[1]); return err },
		"get": func() error {
			answer, err := http.Get("http://" + os.Args[1])
			if err == nil {
				_ = answer.Body.Close()
			}
			return err
		},
		"listen":     func() error { _, err := net.Listen("tcp", "127.0.0.1:0"); return err },
		"unix":       func() error { _, err := net.Listen("unix", "@probe"); return err },
		"read":       func() error { _, err := os.ReadFile("/etc/passwd"); return err },
		"list":       func() error { _, err := os.ReadDir("/"); return err },
		"write":      func() error { return os.WriteFile(os.Args[2], nil, 0o600) },
		"remove":     func() error { return os.Remove(os.Args[2]) },
		"make":       func() error { return os.Mkdir(os.Args[2]+".d", 0o700) },
		"run":        func() error { return exec.Command("/bin/true").Run() },
		"exec":       func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) },
		"trace":      func() error { return syscall.PtraceAttach(os.Getppid()) },
		"kill":       func() error { return syscall.Kill(os.Getppid(), 0) },
		"thread":     func() error { return unix.Tgkill(os.Getppid(), os.Getppid(), 0) },
		"owner":      func() error { _, err := unix.FcntlInt(0, unix.F_SETOWN, os.Getppid()); return err },
		"signal":     func() error { _, err := unix.FcntlInt(0, unix.F_SETSIG, int(unix.SIGKILL)); return err },
		"limits":     func() error { return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 10, Max: 10}) },
		"chdir":      func() error { return os.Chdir("/tmp") },
		"unprotect":  func() error { _, _, e := syscall.Syscall(syscall.SYS_PERSONALITY, 0xffffffff, 0, 0); return errno(e) },
		"namespaces": func() error { return syscall.Unshare(syscall.CLONE_NEWUSER) },
	} {
		go func() { // on threads of all kinds: some are older than the filter
			if err := try(); err == nil || !errors.Is(err, syscall.EPERM) && !strings.Contains(err.Error(), "operation not permitted") {
				results <- fmt.Sprintf("%s: %v", name, err)
				return
			}
			results <- ""
		}()
	}
	for range 20 {
		if text := <-results; text != "" {
			fmt.Fprintln(os.Stdout, text)
		}
	}
	fmt.Fprintln(os.Stdout, "done")
}

func errno(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}
