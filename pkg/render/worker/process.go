package worker

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A process is the parent's view of a worker's process.
type process struct {
	cmd     *exec.Cmd
	pid     int
	in      io.WriteCloser
	out     *bufio.Reader
	last    *lastWords
	hello   hello
	started time.Time
	store   *store
	used    bool // it has rendered a revision

	kill  sync.Once
	ended chan struct{} // closed when the process has ended
}

// helloTimeout is how long a process may take to start. On a busy machine it
// waits for a processor.
const helloTimeout = 30 * time.Second

// start starts a process of this program, limited to memory bytes and with the given
// niceness. If ctx ends before the process has sent hello, it is killed.
func start(ctx context.Context, memory int64, niceness int) (*process, error) {
	path, err := program()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path)
	cmd.Args = []string{processName, strconv.FormatInt(memory, 10), strconv.Itoa(niceness)}
	cmd.Env = []string{} // nil would mean the parent's environment
	cmd.Dir = "/"
	cmd.SysProcAttr = attributes()
	p := &process{cmd: cmd, last: &lastWords{}, started: time.Now(), store: newStore(), ended: make(chan struct{})}
	cmd.Stderr = p.last
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	// Its pipes can still be read after its end, so only end calls Wait, which
	// closes them.
	p.out = bufio.NewReaderSize(out, 1<<16)
	starting, cancel := context.WithTimeout(ctx, helloTimeout)
	stop := context.AfterFunc(starting, func() { _ = cmd.Process.Kill() })
	var m fromProcess
	err = readFrame(p.out, &m, maxFromProcess)
	stop()
	cancel()
	if err != nil || m.Hello == nil {
		p.end()
		return nil, fmt.Errorf("it ended at once: %s", p.last.text())
	}
	p.hello = *m.Hello
	return p, nil
}

// end kills the process and waits for its end.
func (p *process) end() {
	p.kill.Do(func() {
		_ = p.cmd.Process.Kill()
		_ = p.in.Close()
		_ = p.cmd.Wait() // the error reports that it was killed
		close(p.ended)
	})
	<-p.ended
}

// outOfMemory reports whether a process ended because it ran out of memory: the runtime
// reports it, or the kernel has killed the process.
func (p *process) outOfMemory() bool {
	return strings.Contains(p.last.text(), "out of memory") || strings.Contains(p.last.text(), "cannot allocate memory")
}

// lastWords keeps the beginning of a process's standard error: the runtime's reason
// for its end. The rest may quote rendered files.
type lastWords struct {
	mu   sync.Mutex
	kept []byte
}

// Write keeps as much of data as there is room for.
func (l *lastWords) Write(data []byte) (int, error) {
	const room = 4 << 10
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, data[:min(len(data), room-len(l.kept))]...)
	return len(data), nil
}

// text returns the runtime's first line, without a stack.
func (l *lastWords) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(l.kept)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "fatal error:") || strings.HasPrefix(line, "runtime:") {
			return line
		}
	}
	return "it gave no reason"
}
