package badmember_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/testprogram"
)

// process is a daemon: the real program.
type process struct {
	cmd  *exec.Cmd
	logs *buffer
}

// program is the tested fedsync.
var program string

func TestMain(m *testing.M) {
	os.Exit(testprogram.With(func(built string) int {
		program = built
		return m.Run()
	}))
}

// run starts a daemon, which ends with the test or with end.
func run(t *testing.T, logs *buffer, cache string, args ...string) *process {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache)
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, logs: logs}
	t.Cleanup(p.end)
	return p
}

// end stops the daemon, at most once.
func (p *process) end() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait() // the test has seen how it ended
}

// memory returns the daemon's peak memory so far, in bytes; 0 if the system does not
// report it.
func (p *process) memory() int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid)) // a missing file means unknown
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[0]), 10, 64) // a number
	return n << 10
}

// processor returns the daemon's processor time so far; 0 if the system does not report
// it.
func (p *process) processor() time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid)) // a missing file means unknown
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11]) // numbers
	system, _ := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system) * tick
}

// buffer is safe for concurrent writes.
type buffer struct {
	mu    sync.Mutex
	text  bytes.Buffer
	lines int
}

// Write implements io.Writer. It discards what exceeds the limit of a log.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines += bytes.Count(p, []byte("\n"))
	if b.text.Len() < 64<<20 {
		b.text.Write(p)
	}
	return len(p), nil
}

// String returns the written text.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *buffer) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines
}
