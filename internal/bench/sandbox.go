package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// sandbox is a federation of real clusters that runs for as long as this
// process does.
type sandbox struct {
	program string
	said    struct {
		Dir        string
		Kubeconfig string
		Clusters   []string
		Restricted map[string]string `json:"restrictedTokens"`
	}
	cmd  *exec.Cmd
	hold io.Closer // the sandbox ends when it is closed
}

func startSandbox(program, dir, logs string, clusters int) (*sandbox, error) {
	args := []string{"up", "--clusters", strconv.Itoa(clusters), "--dir", dir}
	if logs != "" {
		args = append(args, "--logs", logs)
	}
	// No context: it is closing its standard input that ends it.
	s := &sandbox{program: program, cmd: exec.Command(program, args...)}
	var complaint bytes.Buffer
	s.cmd.Stderr = &complaint
	ownGroup(s.cmd)
	var err error
	if s.hold, err = s.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the sandbox: %w", err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the sandbox: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the sandbox: %w", err)
	}
	if err := json.NewDecoder(out).Decode(&s.said); err != nil {
		_ = s.close()
		return nil, fmt.Errorf("start the sandbox: %w\n%s", err, complaint.String())
	}
	return s, nil
}

func (s *sandbox) close() error {
	_ = s.hold.Close()
	_ = s.cmd.Wait() // its end is all that is asked of it
	return nil
}

// do pauses, resumes, kills or starts a cluster.
func (s *sandbox) do(ctx context.Context, action, cluster string) error {
	out, err := exec.CommandContext(ctx, s.program, action, cluster, "--dir", s.said.Dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", action, cluster, err, bytes.TrimSpace(out))
	}
	return nil
}

// programs gives the paths of fedsync and the sandbox's program, built as the
// Makefile builds them.
func (b *bench) programs(ctx context.Context) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if b.fedsync == "" {
		b.fedsync = filepath.Join(root, "bin", "fedsync")
		b.tell("building bin/fedsync …")
		if err := command(ctx, root, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+b.version, "-o", b.fedsync, "./cmd/fedsync"); err != nil {
			return err
		}
	}
	if b.sandbox == "" {
		b.sandbox = filepath.Join(root, "bin", "sandbox")
		b.tell("building bin/sandbox …")
		if err := command(ctx, root, "go", "build", "-C", "sandbox", "-o", b.sandbox, "./cmd/sandbox"); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program that is to succeed and of whose output only complaints
// matter.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, bytes.TrimSpace(out))
	}
	return nil
}
