package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// repository is a bare Git repository, and a clone of it in which commits are made.
// Unlike in the repositories of sourcetest, which are for tests, a commit is in the bare
// repository before the branch moves, and no program starts when it moves.
type repository struct {
	bare, work string
	head       string // the commit of main in the bare repository

	refs   *exec.Cmd // git update-ref --stdin
	in     io.WriteCloser
	answer *bufio.Reader
}

// next is the ref under which commits wait in the bare repository: like the objects of a
// push, they are stored before the branch moves.
const next = "refs/bench/next"

// newRepository makes a repository with a first commit of files.
func newRepository(ctx context.Context, dir string, files map[string]string) (*repository, error) {
	r := &repository{bare: filepath.Join(dir, "repository.git"), work: filepath.Join(dir, "work")}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := command(ctx, dir, "git", "init", "--quiet", "--bare", "--initial-branch=main", r.bare); err != nil {
		return nil, err
	}
	if err := command(ctx, dir, "git", "clone", "--quiet", r.bare, r.work); err != nil {
		return nil, err
	}
	id, err := r.commit(ctx, files, "First")
	if err != nil {
		return nil, err
	}
	if err := r.openRefs(); err != nil {
		return nil, err
	}
	if _, err := r.publish(id); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// commit writes files into the clone, removes those without content, and pushes a commit
// of them to the bare repository, where no branch points to it yet.
func (r *repository) commit(ctx context.Context, files map[string]string, message string) (id string, err error) {
	for name, content := range files {
		path := filepath.Join(r.work, name)
		if content == "" {
			if err := os.RemoveAll(path); err != nil {
				return "", err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	for _, args := range [][]string{
		{"add", "--all"},
		{"-c", "user.name=Bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "--message", message},
		{"push", "--quiet", "--force", "origin", "HEAD:" + next},
	} {
		if err := command(ctx, r.work, "git", args...); err != nil {
			return "", err
		}
	}
	out, err := exec.CommandContext(ctx, "git", "-C", r.work, "rev-parse", "HEAD").Output()
	if err != nil {
		return "", fmt.Errorf("read the clone's head: %w", err)
	}
	return string(bytes.TrimSpace(out)), nil
}

// openRefs starts the git process that moves the branch, so that the start of a program is
// not measured.
func (r *repository) openRefs() error {
	r.refs = exec.Command("git", "-C", r.bare, "update-ref", "--stdin")
	var err error
	if r.in, err = r.refs.StdinPipe(); err != nil {
		return err
	}
	out, err := r.refs.StdoutPipe()
	if err != nil {
		return err
	}
	r.answer = bufio.NewReader(out)
	if err := r.refs.Start(); err != nil {
		return fmt.Errorf("start git update-ref: %w", err)
	}
	return nil
}

// publish moves main to a commit as the last step of a push does: it locks the ref and
// then renames its new value into place. It returns the time just before the rename.
func (r *repository) publish(id string) (time.Time, error) {
	old := r.head
	if old == "" {
		old = strings.Repeat("0", len(id))
	}
	steps := []struct{ command, want string }{
		{"start\n", "start: ok"},
		{"update refs/heads/main " + id + " " + old + "\nprepare\n", "prepare: ok"},
	}
	for _, step := range steps {
		if err := r.ask(step.command, step.want); err != nil {
			return time.Time{}, err
		}
	}
	moved := time.Now()
	if err := r.ask("commit\n", "commit: ok"); err != nil {
		return time.Time{}, err
	}
	r.head = id
	return moved, nil
}

func (r *repository) ask(command, want string) error {
	if _, err := io.WriteString(r.in, command); err != nil {
		return fmt.Errorf("git update-ref: %w", err)
	}
	line, err := r.answer.ReadString('\n')
	if err != nil {
		return fmt.Errorf("git update-ref: %w", err)
	}
	if got := strings.TrimSpace(line); got != want {
		return fmt.Errorf("git update-ref answered %q, want %q", got, want)
	}
	return nil
}

func (r *repository) close() {
	if r.refs == nil {
		return
	}
	_ = r.in.Close()
	_ = r.refs.Wait() // only its end matters
	r.refs = nil
}
