package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status"
)

// daemon is fedsync, running as a process of its own.
type daemon struct{ *lab.Daemon }

// startDaemon starts fedsync on a repository and returns when its page answers.
// Its cache is in dir, which no other fedsync on this machine uses.
func startDaemon(ctx context.Context, program, dir, repository, kubeconfig string, args ...string) (*daemon, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, append([]string{
		"run", "--repo", repository, "--kubeconfig", kubeconfig,
		"--listen", "127.0.0.1:0", "--log-format", "json",
	}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CACHE_HOME=" + filepath.Join(dir, "cache")}
	d, err := lab.StartDaemon(ctx, filepath.Join(dir, "fedsync.log"), cmd)
	if err != nil {
		return nil, err
	}
	return &daemon{d}, nil
}

// until waits until a report meets a condition.
func (d *daemon) until(ctx context.Context, limit time.Duration, what string, so func(*status.Report) bool) error {
	err := wait(ctx, limit, 50*time.Millisecond, what, func(ctx context.Context) (bool, string) {
		r, err := d.Report(ctx)
		if err != nil {
			return false, err.Error()
		}
		return so(r), fmt.Sprintf("%s %s: %s", r.Revision, r.State, r.Description)
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w\nfedsync's log ends with\n%s", err, d.LastWords())
	}
	return err
}

// live reports whether a report is a success at a commit.
func live(id string) func(*status.Report) bool {
	return func(r *status.Report) bool { return r.Revision.SHA == id && r.State == status.Success }
}
