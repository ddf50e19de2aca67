// Package child starts programs so that none of them outlives the caller, however the
// caller ends.
//
// All children share one Unix process group of their own, so an interrupt typed at a
// terminal does not reach them. A small copy of the caller, the warden, holds the
// reading end of a pipe. Only the caller holds the other end. When the caller ends, by
// returning, by a panic or by SIGKILL, the pipe closes, and the warden kills the group
// and removes its directory. An ordinary end does the same, so every run tests the
// cleanup. On Linux the kernel also kills the children, in case the caller and the
// warden are killed together.
package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// Group is a set of children and the directory that they write to.
type Group struct {
	dir    string
	forks  chan func()   // run on the thread whose end makes the kernel kill the children
	forker chan struct{} // closed when that thread has stopped

	warden       *exec.Cmd
	wardenPipe   io.WriteCloser
	wardenStderr bytes.Buffer
	wardenDone   chan struct{}

	mu       sync.Mutex // protects what follows
	leader   int        // the first child, whose id names the process group
	children []*Child
	closed   bool

	waits sync.WaitGroup // one for each child
}

// NewGroup starts the warden of dir with the given command line and dir as its last
// argument. The command must call [Warden]. Close removes dir.
func NewGroup(dir string, warden ...string) (*Group, error) {
	g := &Group{
		dir:        dir,
		forks:      make(chan func()),
		forker:     make(chan struct{}),
		wardenDone: make(chan struct{}),
	}
	g.warden = exec.Command(warden[0], append(warden[1:], dir)...)
	g.warden.Dir = "/" // the warden must not use the directory that it removes
	g.warden.Stderr = &g.wardenStderr
	g.warden.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no signal of a terminal ends it
	pipe, err := g.warden.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the warden of %s: %w", dir, err)
	}
	g.wardenPipe = pipe
	if err := g.warden.Start(); err != nil {
		return nil, fmt.Errorf("start the warden of %s: %w", dir, err)
	}
	go func() {
		defer close(g.wardenDone)
		_ = g.warden.Wait() // Close checks the exit status
	}()
	go g.fork()
	return g, nil
}

// fork runs every start on one locked thread, because the kernel kills the children
// (see [attributes]) when the thread that forked them ends.
func (g *Group) fork() {
	defer close(g.forker)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for f := range g.forks {
		f()
	}
}

// Lost returns a channel that is closed when the warden has ended. If that is before
// Close, a SIGKILL of the caller would leave the directory behind.
func (g *Group) Lost() <-chan struct{} { return g.wardenDone }

// Start runs p as a child of the group.
func (g *Group) Start(p Program) (*Child, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, fmt.Errorf("start %s: the group is closed", p.Name)
	}
	c, err := newChild(p)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	c.cmd.SysProcAttr = attributes(g.leader)
	started := make(chan error)
	g.forks <- func() { started <- c.cmd.Start() }
	err = <-started
	_ = c.log.Close() // the child has its own descriptor
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	if g.leader == 0 {
		g.leader = c.cmd.Process.Pid
		if _, err := fmt.Fprintln(g.wardenPipe, g.leader); err != nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
			return nil, fmt.Errorf("start %s: register it with the warden: %w", p.Name, err)
		}
	}
	g.children = append(g.children, c)
	g.waits.Go(c.wait)
	return c, nil
}

// Close kills the children, waits for them and removes the directory.
func (g *Group) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	for _, c := range g.children {
		c.killed.Store(true)
	}
	_ = g.wardenPipe.Close() // fails if the warden has ended
	<-g.wardenDone
	var err error
	if !g.warden.ProcessState.Success() {
		// The warden was killed or failed: do its work here.
		if err = sweep(g.leader, g.dir); err != nil {
			err = errors.Join(err, errors.New(strings.TrimSpace(g.wardenStderr.String())))
		}
	}
	g.waits.Wait()
	close(g.forks)
	<-g.forker
	return err
}

// logFile opens the file for a child's output. It makes the directory if that does not
// exist.
func logFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
}
