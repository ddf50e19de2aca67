// Package child starts programs so that none of them outlives the one that
// started them, however that one ends.
//
// All children share one Unix process group, so an interrupt typed
// at a terminal does not reach them. A small copy of the caller, the warden,
// holds the reading end of a pipe whose other end nobody but the caller has: when
// the caller ends, by returning, by a panic or by SIGKILL, the pipe closes, and
// the warden kills the group and removes its folder. The ordinary end takes the
// same way, so the way out is tried at every run. On Linux the kernel itself
// kills the children as well, should caller and warden be killed together.
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

// Group is a set of children and the folder that they write to.
type Group struct {
	dir    string
	forks  chan func()   // run on the thread whose end the kernel takes for ours
	forker chan struct{} // closed when that thread has stopped

	warden     *exec.Cmd
	wardenPipe io.WriteCloser
	wardenSays bytes.Buffer
	wardenDone chan struct{}

	mu       sync.Mutex // protects what follows
	leader   int        // the first child, whose id names the Unix group
	children []*Child
	closed   bool

	waits sync.WaitGroup // one for each child
}

// NewGroup starts the warden of dir with the given command line, which has to
// lead to [Warden]. The folder belongs to the group: Close removes it.
func NewGroup(dir string, warden ...string) (*Group, error) {
	g := &Group{
		dir:        dir,
		forks:      make(chan func()),
		forker:     make(chan struct{}),
		wardenDone: make(chan struct{}),
	}
	g.warden = exec.Command(warden[0], append(warden[1:], dir)...)
	g.warden.Dir = "/" // the folder must not be held by the one who removes it
	g.warden.Stderr = &g.wardenSays
	g.warden.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal's signal ends it
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
		_ = g.warden.Wait() // judged by Close, from its exit status
	}()
	go g.fork()
	return g, nil
}

// fork runs every start on one locked thread, because the kernel's promise to
// end the children (see [attributes]) is tied to the thread that forked them.
func (g *Group) fork() {
	defer close(g.forker)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for f := range g.forks {
		f()
	}
}

// Lost is closed when the warden has ended before Close asked it to: from then
// on a SIGKILL of the caller would leave its folder behind.
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
	_ = c.log.Close() // the child has its own
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	if g.leader == 0 {
		g.leader = c.cmd.Process.Pid
		if _, err := fmt.Fprintln(g.wardenPipe, g.leader); err != nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
			return nil, fmt.Errorf("start %s: tell the warden: %w", p.Name, err)
		}
	}
	g.children = append(g.children, c)
	g.waits.Go(c.wait)
	return c, nil
}

// Close kills the children, waits for them and removes the folder.
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
	_ = g.wardenPipe.Close() // the warden's end of it may be gone with the warden
	<-g.wardenDone
	var err error
	if !g.warden.ProcessState.Success() {
		// Somebody killed it, or it could not finish: its work is done here.
		if err = sweep(g.leader, g.dir); err != nil {
			err = errors.Join(err, errors.New(strings.TrimSpace(g.wardenSays.String())))
		}
	}
	g.waits.Wait()
	close(g.forks)
	<-g.forker
	return err
}

// logFile opens the file that takes a child's output, below an existing folder
// or not.
func logFile(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
}
