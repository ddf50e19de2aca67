package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is how long a sandbox may take to start. On a quiet machine three clusters
// take five seconds and thirteen take half a minute. Compiling the sandbox the first
// time takes a minute more.
const patience = 5 * time.Minute

// started reports whether shared has started a sandbox, for [Main].
var started atomic.Bool

// running is a sandbox that this test binary started.
type running struct {
	cmd *exec.Cmd
	// hold keeps the sandbox alive: it ends when the other end of its standard
	// input is closed, so it cannot outlive this program.
	hold   io.Closer
	stderr tail
	done   chan struct{} // closed when it has ended
}

// Start starts a sandbox and returns when it is ready. The sandbox ends with
// [Sandbox.Stop], and with this program, even if this program is killed. ctx bounds only
// the start. Tests use [Shared] and [Own].
func Start(ctx context.Context, clusters int, more ...Option) (*Sandbox, error) {
	command, err := sandboxCommand()
	if err != nil {
		return nil, err
	}
	args := slices.Concat(command, []string{"up", "--clusters", strconv.Itoa(clusters)})
	for _, option := range more {
		args = append(args, option...)
	}
	r := &running{cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	r.cmd.Stderr = &r.stderr
	// After the command has ended, its output is of no interest.
	r.cmd.WaitDelay = 10 * time.Second
	// A Ctrl-C at the terminal must reach only this program, which may need the clusters
	// to end properly.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r.hold, err = r.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a sandbox: %w", err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a sandbox: %w", err)
	}
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a sandbox: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it was not ready after %s", patience))
	defer cancel()
	waits := context.AfterFunc(ctx, func() { _ = r.hold.Close() })
	var d Description
	err = json.NewDecoder(out).Decode(&d)
	go func() {
		defer close(r.done)
		_ = r.cmd.Wait() // the next call of the sandbox reports its end
	}()
	if !waits() {
		err = context.Cause(ctx)
	} else if errors.Is(err, io.EOF) {
		err = errors.New("it ended before it was ready")
	}
	if err != nil {
		r.stop()
		return nil, fmt.Errorf("start a sandbox: %w%s", err, r.lastWords())
	}
	s, err := newSandbox(d, r)
	if err != nil {
		r.stop()
	}
	return s, err
}

// Stop ends the sandbox, if this program started it, and waits until it has cleaned up.
func (s *Sandbox) Stop() {
	if s.running != nil {
		s.running.stop()
	}
}

// stop ends the sandbox and waits until it has cleaned up.
func (r *running) stop() {
	_ = r.hold.Close()
	<-r.done
}

// lastWords returns the end of what the sandbox wrote, for a message about its failure.
func (r *running) lastWords() string {
	if r == nil {
		return "" // another process has its output
	}
	if text := strings.TrimSpace(r.stderr.String()); text != "" {
		return "\nthe sandbox wrote:\n" + text
	}
	return ""
}

// sandboxCommand returns the command that runs the sandbox's program: the program that
// [ProgramVariable] names, else the go command, which rebuilds it if needed.
func sandboxCommand() ([]string, error) {
	if program := os.Getenv(ProgramVariable); program != "" {
		return []string{program}, nil
	}
	module, err := sandboxModule()
	if err != nil {
		return nil, err
	}
	return []string{"go", "-C", module, "run", "./cmd/sandbox"}, nil
}

// sandboxModule returns the folder of the sandbox's module. It searches upwards from the
// working directory, which in a test is the folder of the package.
func sandboxModule() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		module := filepath.Join(dir, "sandbox")
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the sandbox's module: no folder above %s has sandbox/go.mod", here)
		}
	}
}

// tail is a writer that retains the end of what is written to it.
type tail struct {
	mu sync.Mutex // protects b
	b  bytes.Buffer
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 16 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b.Write(p)
	if over := t.b.Len() - most; over > 0 {
		t.b.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}
