package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fedsync/fedsync/sandbox"
)

// asProgram is the environment variable that makes the test binary run the program, so
// that tests need not build it.
const asProgram = "SANDBOX_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// program is a running `sandbox up`.
type program struct {
	cmd         *exec.Cmd
	stdin       io.Closer
	stderr      bytes.Buffer
	description sandbox.Description
}

// cli returns the command that runs the program with args.
func cli(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// begin starts a sandbox of one cluster and reads its description.
func begin(t *testing.T, wrap ...string) *program {
	t.Helper()
	args := slices.Concat(wrap, []string{os.Args[0], "up", "--clusters", "1", "--dir", dir(t)})
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	p := &program{cmd: cmd}
	cmd.Stderr = &p.stderr
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.stdin.Close() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("read the description: %v; the sandbox wrote:\n%s", err, &p.stderr)
	}
	if err := json.Unmarshal(line, &p.description); err != nil {
		t.Fatalf("the first line is %q: %v", line, err)
	}
	return p
}

// dir returns a new directory with a path that is short enough for a socket in it.
func dir(t *testing.T) string {
	t.Helper()
	d, err := os.MkdirTemp("", "sandbox-test-") //nolint:usetesting // t.TempDir has the test's name in its path.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(d) })
	return d
}

func TestDescriptionIsAlsoInTheFolderForItsOwnerAlone(t *testing.T) {
	p := begin(t)
	path := filepath.Join(p.description.Dir, sandbox.FileName)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), fs.FileMode(0o600); got != want {
		t.Errorf("its mode is %s, want %s", got, want)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var inFile sandbox.Description
	if err := json.Unmarshal(b, &inFile); err != nil {
		t.Fatal(err)
	}
	if inFile.Control != p.description.Control || inFile.Control == "" {
		t.Errorf("control is %q in the file and %q on standard output", inFile.Control, p.description.Control)
	}

	cluster := p.description.Clusters[0]
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"status"}, "Running"},
		{[]string{"pause", cluster}, cluster + " is Paused"},
		{[]string{"status"}, "Paused"},
		{[]string{"resume", cluster}, cluster + " is Running"},
		{[]string{"kill", cluster}, cluster + " is Killed"},
		{[]string{"start", cluster}, cluster + " is Running"},
	} {
		out, err := cli(append(c.args, "--dir", p.description.Dir)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("sandbox %s: %v: %s, want %q", strings.Join(c.args, " "), err, out, c.want)
		}
	}
	byVariable := cli("status")
	byVariable.Env = append(byVariable.Env, locationVariable+"="+path)
	if out, err := byVariable.CombinedOutput(); err != nil || !strings.Contains(string(out), cluster) {
		t.Errorf("sandbox status by $%s: %v: %s", locationVariable, err, out)
	}
	out, err := cli("pause", "gce-mars1a", "--dir", p.description.Dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), cluster) {
		t.Errorf("pause an unknown cluster: %v: %s, want the clusters there are", err, out)
	}
	p.ends(t, func() { p.signal(t, syscall.SIGTERM) })
	if got := p.cmd.ProcessState.ExitCode(); got != 0 {
		t.Errorf("after SIGTERM the exit status is %d, want 0; it wrote:\n%s", got, &p.stderr)
	}
}

func TestNothingIsLeftOfASandbox(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *program){
		"that is interrupted":                func(t *testing.T, p *program) { p.signal(t, syscall.SIGINT) },
		"whose standard input is closed":     func(_ *testing.T, p *program) { _ = p.stdin.Close() },
		"that is killed":                     func(t *testing.T, p *program) { p.signal(t, syscall.SIGKILL) },
		"that is killed while it was paused": func(t *testing.T, p *program) { p.signal(t, syscall.SIGSTOP); p.signal(t, syscall.SIGKILL) },
		"that is killed with a cluster paused": func(t *testing.T, p *program) {
			if out, err := cli("pause", p.description.Clusters[0], "--dir", p.description.Dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			p.signal(t, syscall.SIGKILL)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t)
			p.ends(t, func() { end(t, p) })
		})
	}
}

func TestNothingIsLeftOfASandboxWhoseParentWasKilled(t *testing.T) {
	// The shell is the parent. Its </dev/null keeps our pipe from the sandbox, which
	// would also end when the pipe closes.
	p := begin(t, "/bin/sh", "-c", `"$0" "$@" </dev/null; exit $?`)
	if p.description.Pid == p.cmd.Process.Pid {
		t.Fatal("the shell has become the sandbox: nothing would be tested")
	}
	p.ends(t, func() { p.signal(t, syscall.SIGKILL) })
}

func TestMissingProgramsAreAnErrorWithTheRemedy(t *testing.T) {
	cmd := cli("up")
	cmd.Env = append(cmd.Env, "XDG_CACHE_HOME="+t.TempDir(), "HOME="+t.TempDir(), "KUBEBUILDER_ASSETS=")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "make sandbox") {
		t.Errorf("up without programs: %v: %s, want the remedy", err, out)
	}
}

func TestWebhookWithoutAForgeIsAnError(t *testing.T) {
	out, err := cli("up", "--webhook-url", "http://127.0.0.1:1/").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--forge") {
		t.Errorf("up with a webhook and no forge: %v: %s", err, out)
	}
}

func (p *program) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// ends calls end, which should end the sandbox, and checks that no program, directory or
// port of it is left.
func (p *program) ends(t *testing.T, end func()) {
	t.Helper()
	members := p.members(t)
	if len(members) < 5 {
		t.Fatalf("a sandbox of one cluster has %d programs: %v", len(members), members)
	}
	b, err := os.ReadFile(p.description.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "server: https://")
	server, _, _ := strings.Cut(after, "\n")
	c, err := net.Dial("tcp", server)
	if err != nil {
		t.Fatalf("connect to the API server before its end: %v", err)
	}
	_ = c.Close()
	end()
	_ = p.cmd.Wait() // judged by the caller, if at all
	eventually(t, "the folder is gone", func() bool {
		_, err := os.Stat(p.description.Dir)
		return errors.Is(err, fs.ErrNotExist)
	})
	for _, id := range members {
		eventually(t, fmt.Sprintf("%s has ended", id), func() bool {
			out, err := exec.Command("ps", "-o", "stat=", "-p", id).Output()
			// A program that has ended may not be reaped yet.
			return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
		})
	}
	l, err := net.Listen("tcp", server)
	if err != nil {
		t.Fatalf("the API server's port: %v", err)
	}
	_ = l.Close()
}

// members returns the process ids of the sandbox and of everything that it started. They
// all have its directory in their arguments.
func (p *program) members(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("pgrep", "-f", p.description.Dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so after 30 s: %s", what)
		}
	}
}
