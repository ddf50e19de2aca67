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

// patience is how long a sandbox may take to start. Three clusters take five
// seconds on a quiet machine, thirteen half a minute, and compiling it the first
// time a minute more.
const patience = 5 * time.Minute

// started reports whether shared has started a sandbox, for [Main].
var started atomic.Bool

// running is a sandbox that this test binary started.
type running struct {
	cmd *exec.Cmd
	// hold is what keeps it alive: the sandbox ends when nobody holds the other
	// end of its standard input any more, so it cannot outlive this program.
	hold io.Closer
	says tail
	done chan struct{} // closed when it has ended
}

// Start starts a sandbox and returns when it can be used. It ends with [Sandbox.Stop],
// and with this program, however that ends; ctx bounds the start alone. Tests use
// [Shared] and [Own].
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
	r.cmd.Stderr = &r.says
	// Once the command has ended, its output is of no interest.
	r.cmd.WaitDelay = 10 * time.Second
	// A Ctrl-C at the terminal is this program's: it may need the clusters to end well.
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
		_ = r.cmd.Wait() // whoever misses it reports its end
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

// lastWords returns what the sandbox wrote, for a message about its failure.
func (r *running) lastWords() string {
	if r == nil {
		return "" // it writes to somebody else
	}
	if said := strings.TrimSpace(r.says.String()); said != "" {
		return "\nthe sandbox wrote:\n" + said
	}
	return ""
}

// sandboxCommand is what runs the sandbox's program: the one that [ProgramVariable]
// names, else the go command, which looks each time whether it is to be built anew.
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

// sandboxModule finds the sandbox's module from a package of this one, where the
// go command runs its tests.
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

// tail keeps the end of what is written to it.
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
