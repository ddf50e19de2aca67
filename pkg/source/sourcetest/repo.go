// Package sourcetest makes real Git repositories for tests, with the git
// program, and serves them over http and ssh.
//
// Everything is in t.TempDir(), and git reads neither the user's settings nor
// the system's.
package sourcetest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Repo is a bare repository and a clone of it to push from.
type Repo struct {
	Path string // of the bare repository
	Work string // of the clone

	t testing.TB
}

// New makes an empty repository whose HEAD names the branch main.
func New(t testing.TB) *Repo {
	t.Helper()
	dir := t.TempDir()
	r := &Repo{t: t, Path: filepath.Join(dir, "web.git"), Work: filepath.Join(dir, "clone")}
	r.git(dir, "init", "--quiet", "--bare", "--initial-branch=main", r.Path)
	r.git(dir, "init", "--quiet", "--initial-branch=main", r.Work)
	r.InWork("remote", "add", "origin", r.Path)
	return r
}

// Write puts files into the work tree, by their slash-separated names. A file
// whose content is Removed is removed.
func (r *Repo) Write(files map[string]string) {
	r.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(r.Work, filepath.FromSlash(name))
		if files[name] == Removed {
			r.must(os.Remove(path))
			continue
		}
		r.must(os.MkdirAll(filepath.Dir(path), 0o755))
		r.must(os.WriteFile(path, []byte(files[name]), 0o644))
	}
}

// Removed is the content of a file to remove.
const Removed = "\x00removed"

// Link makes a symbolic link in the work tree.
func (r *Repo) Link(name, target string) {
	r.t.Helper()
	path := filepath.Join(r.Work, filepath.FromSlash(name))
	r.must(os.MkdirAll(filepath.Dir(path), 0o755))
	r.must(os.Symlink(target, path))
}

// Commit writes files, commits the whole work tree, and returns the commit's
// id. It pushes nothing.
func (r *Repo) Commit(message string, files map[string]string) string {
	r.t.Helper()
	r.Write(files)
	r.InWork("add", "--all")
	r.InWork("commit", "--quiet", "--allow-empty", "--message", message)
	return r.Head()
}

// Push commits files and pushes them to main.
func (r *Repo) Push(message string, files map[string]string) string {
	r.t.Helper()
	sha := r.Commit(message, files)
	r.PushTo("main")
	return sha
}

// PushTo force-pushes the work tree's HEAD to a branch.
func (r *Repo) PushTo(branch string) {
	r.t.Helper()
	r.InWork("push", "--quiet", "--force", "origin", "HEAD:refs/heads/"+branch)
}

// Head returns the id of the work tree's HEAD.
func (r *Repo) Head() string {
	r.t.Helper()
	return strings.TrimSpace(r.InWork("rev-parse", "HEAD"))
}

// Commits adds n empty commits to a branch of the bare repository in one step,
// and returns the id of the last.
func (r *Repo) Commits(branch string, n int) string {
	r.t.Helper()
	var in bytes.Buffer
	for i := range n {
		fmt.Fprintf(&in, "commit refs/heads/%s\ncommitter Test <test@example.com> %d +0000\ndata 5\nbulk\n\n", branch, 1_700_000_000+i)
		if i == 0 {
			fmt.Fprintf(&in, "from refs/heads/%s^0\n", branch)
		}
	}
	r.Import(in.String())
	return strings.TrimSpace(r.Git("rev-parse", branch))
}

// Import feeds a stream to git fast-import in the bare repository.
func (r *Repo) Import(stream string) {
	r.t.Helper()
	r.Input(stream, "fast-import", "--quiet", "--force")
}

// Input runs git in the bare repository with a standard input, and gives its output.
func (r *Repo) Input(in string, args ...string) string {
	r.t.Helper()
	return r.run(r.Path, strings.NewReader(in), args...)
}

// Git runs git in the bare repository and returns its output.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.git(r.Path, args...)
}

// InWork runs git in the work tree and returns its output.
func (r *Repo) InWork(args ...string) string {
	r.t.Helper()
	return r.git(r.Work, args...)
}

func (r *Repo) git(dir string, args ...string) string {
	r.t.Helper()
	return r.run(dir, nil, args...)
}

func (r *Repo) run(dir string, stdin io.Reader, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env, cmd.Stdin = Environment(), stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

func (r *Repo) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// Environment is git's whole environment.
func Environment() []string {
	path := "/usr/local/bin:/usr/bin:/bin"
	if git, err := exec.LookPath("git"); err == nil {
		path = filepath.Dir(git) + ":" + path
	}
	return []string{
		"PATH=" + path,
		"HOME=" + os.DevNull,
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		// No automatic gc, which could outlive the command and the test's
		// folder.
		"GIT_CONFIG_COUNT=2",
		"GIT_CONFIG_KEY_0=gc.auto", "GIT_CONFIG_VALUE_0=0",
		"GIT_CONFIG_KEY_1=receive.autogc", "GIT_CONFIG_VALUE_1=false",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com",
		"GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com",
	}
}
