package child

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
)

// Program describes a program to run.
type Program struct {
	Name string // for messages: "kube-apiserver of gce-asia-east1a"
	Path string
	Args []string
	Env  []string // the whole environment; nothing is inherited
	Dir  string   // its working directory
	Log  string   // the file that its output is appended to

	// Ended is called if the program ends and we did not kill it.
	Ended func(error)
}

// Child is a program that was started.
type Child struct {
	Name string

	program Program
	log     *os.File
	cmd     *exec.Cmd
	killed  atomic.Bool // we killed it
	done    chan struct{}
}

func newChild(p Program) (*Child, error) {
	log, err := logFile(p.Log)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = p.Env
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would mean ours
	}
	cmd.Dir = p.Dir
	cmd.Stdout, cmd.Stderr = log, log
	return &Child{Name: p.Name, program: p, log: log, cmd: cmd, done: make(chan struct{})}, nil
}

// wait reaps the child when it ends, and reports an end that we did not cause.
func (c *Child) wait() {
	err := c.cmd.Wait()
	close(c.done)
	if c.killed.Load() || c.program.Ended == nil {
		return
	}
	how := "exit status 0"
	if err != nil {
		how = err.Error()
	}
	if last := lastLines(c.program.Log, 10); last != "" {
		how += "; the last lines of its log:\n" + last
	}
	c.program.Ended(fmt.Errorf("%s ended: %s", c.Name, how))
}

// Done returns a channel that is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Pause stops the child with SIGSTOP: its sockets stay open, and nothing answers. It
// returns when every thread has stopped.
func (c *Child) Pause() error {
	if err := c.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	if err := awaitStop(c.cmd.Process.Pid); err != nil {
		return fmt.Errorf("wait for %s to stop: %w", c.Name, err)
	}
	return nil
}

// Resume continues a paused child.
func (c *Child) Resume() error { return c.signal(syscall.SIGCONT) }

// Kill ends the child with SIGKILL and returns when it has ended.
func (c *Child) Kill() error {
	c.killed.Store(true)
	if err := c.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-c.done
	return nil
}

func (c *Child) signal(s syscall.Signal) error {
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to %s: %w", s, c.Name, err)
	}
	return nil
}

// lastLines returns up to n lines from the end of a log. It returns "" if the log cannot
// be read, since the caller already reports a worse error.
func lastLines(path string, n int) string {
	const most = 8 << 10
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, size-most), most))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
