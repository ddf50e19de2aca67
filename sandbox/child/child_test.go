package child_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedsync/fedsync/sandbox/child"
)

// TestMain allows the test binary to be the warden, or a caller that can be killed.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "warden":
		if err := child.Warden(os.Stdin, os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(os.Args) == 3 && os.Args[1] == "caller":
		if err := call(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		os.Exit(m.Run())
	}
}

// family is the warden and the children of a caller.
type family struct {
	Warden   int `json:"-"`
	Children []int
}

// call starts a group, prints its family, and waits to be killed.
func call(dir string) error {
	group, err := child.NewGroup(dir, os.Args[0], "warden")
	if err != nil {
		return err
	}
	for i := range 3 {
		if _, err := group.Start(program(dir, fmt.Sprintf("echo $$ > %d.new && mv %d.new %d.pid; exec sleep 600", i, i, i))); err != nil {
			return err
		}
	}
	var f family
	for i := range 3 {
		id := 0
		for id == 0 {
			b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.pid", i)))
			if errors.Is(err, fs.ErrNotExist) {
				runtime.Gosched()
				continue
			}
			if err != nil {
				return err
			}
			if _, err := fmt.Sscan(string(b), &id); err != nil {
				return err
			}
		}
		f.Children = append(f.Children, id)
	}
	if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
		return err
	}
	select {}
}

func program(dir, script string) child.Program {
	return child.Program{
		Name: "sh of the test",
		Path: "/bin/sh",
		Args: []string{"-c", script},
		Env:  []string{"PATH=" + os.Getenv("PATH")},
		Dir:  dir,
		Log:  filepath.Join(dir, "logs", "sh.log"),
	}
}

func newGroup(t *testing.T) (*child.Group, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "group")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	group, err := child.NewGroup(dir, os.Args[0], "warden")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = group.Close() })
	return group, dir
}

func TestClosingAGroupEndsItsChildrenAndRemovesItsFolder(t *testing.T) {
	group, dir := newGroup(t)
	var all []*child.Child
	for range 3 {
		p := program(dir, "exec sleep 600")
		p.Ended = func(err error) { t.Errorf("Ended was called after Close killed the child: %v", err) }
		c, err := group.Start(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if err := all[0].Pause(); err != nil { // a stopped child has to go as well
		t.Fatal(err)
	}
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		select {
		case <-c.Done():
		default:
			t.Error("a child is alive after Close")
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if _, err := group.Start(program(t.TempDir(), "true")); err == nil {
		t.Error("a closed group has started a program")
	}
}

func TestGroupWithoutChildrenRemovesItsFolder(t *testing.T) {
	group, dir := newGroup(t)
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestEndOfAChildIsReportedWithItsLastLines(t *testing.T) {
	group, dir := newGroup(t)
	ended := make(chan error, 1) // it ends once
	p := program(dir, "echo flag provided but not defined; exit 3")
	p.Ended = func(err error) { ended <- err }
	if _, err := group.Start(p); err != nil {
		t.Fatal(err)
	}
	got := (<-ended).Error()
	for _, want := range []string{"sh of the test", "exit status 3", "flag provided but not defined"} {
		if !strings.Contains(got, want) {
			t.Errorf("the error is %q, want %q in it", got, want)
		}
	}
}

func TestLostWardenIsNoticedAndReplaced(t *testing.T) {
	group, dir := newGroup(t)
	c, err := group.Start(program(dir, "exec sleep 600"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(wardenOf(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-group.Lost()
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestKilledCallerLeavesNoChildAndNoFolder(t *testing.T) {
	dir := t.TempDir() + "/group"
	caller, f := startCaller(t, dir)
	if err := caller.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = caller.Wait() // it was killed
	eventually(t, "the folder is gone", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist)
	})
	for _, id := range append(f.Children, f.Warden) {
		eventually(t, fmt.Sprintf("%d has ended", id), func() bool { return !running(id) })
	}
}

func TestCallerAndWardenKilledTogetherLeaveNoChild(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // only its kernel ends the children of one who is killed
	}
	caller, f := startCaller(t, t.TempDir()+"/group")
	if err := syscall.Kill(f.Warden, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := caller.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = caller.Wait() // it was killed
	for _, id := range f.Children {
		eventually(t, fmt.Sprintf("%d has ended", id), func() bool { return !running(id) })
	}
}

func startCaller(t *testing.T, dir string) (*exec.Cmd, family) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	caller := exec.Command(os.Args[0], "caller", dir)
	caller.Stderr = os.Stderr
	out, err := caller.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := caller.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caller.Process.Kill() })
	var f family
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&f); err != nil {
		t.Fatalf("read the caller's output: %v", err)
	}
	f.Warden = wardenOf(t, dir)
	return caller, f
}

func wardenOf(t *testing.T, dir string) int {
	t.Helper()
	out, err := exec.Command("pgrep", "-f", "warden "+dir+"$").Output()
	if err != nil {
		t.Fatalf("find the warden of %s: %v", dir, err)
	}
	var id int
	if _, err := fmt.Sscan(string(out), &id); err != nil {
		t.Fatalf("find the warden of %s: %v", dir, err)
	}
	return id
}

// running reports whether a process runs. One that has ended may not be reaped yet, and
// we cannot reap a process that our child left behind.
func running(id int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(id)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so after 10 s: %s", what)
		}
	}
}
