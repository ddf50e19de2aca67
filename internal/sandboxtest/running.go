package sandboxtest

import (
	"bytes"
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
	"time"
)

// patience is how long a sandbox may take to start. Three clusters take five
// seconds on a quiet machine, thirteen half a minute, and compiling it the first
// time a minute more.
const patience = 5 * time.Minute

// started says whether shared has started a sandbox, for [Main].
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

// start starts a sandbox and returns when it can be used.
func start(o options) (*Sandbox, error) {
	command, err := sandboxCommand()
	if err != nil {
		return nil, err
	}
	args := slices.Concat(command, []string{"up", "--clusters", strconv.Itoa(o.clusters)})
	if o.forge {
		args = append(args, "--forge")
	}
	args = append(args, o.more...)
	r := &running{cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	r.cmd.Stderr = &r.says
	// Once the command has ended, its output is of no interest.
	r.cmd.WaitDelay = 10 * time.Second
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
	if o.shared {
		started.Store(true)
	}
	impatient := time.AfterFunc(patience, func() { _ = r.hold.Close() })
	var said description
	err = json.NewDecoder(out).Decode(&said)
	go func() {
		defer close(r.done)
		_ = r.cmd.Wait() // its end is told by those who miss it
	}()
	if !impatient.Stop() {
		err = fmt.Errorf("it was not ready after %s", patience)
	} else if errors.Is(err, io.EOF) {
		err = errors.New("it ended before it was ready")
	}
	if err != nil {
		r.stop()
		return nil, fmt.Errorf("start a sandbox: %w%s", err, r.lastWords())
	}
	s, err := newSandbox(said, o.shared, r)
	if err != nil {
		r.stop()
		return nil, err
	}
	return s, nil
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
