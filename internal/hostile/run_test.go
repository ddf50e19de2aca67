package hostile_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/hostile"
)

// The limits on a program that reads a repository.
const (
	maxTime   = 10 * time.Second
	maxMemory = 512 << 20 // bytes, over all processes
	maxStderr = 1 << 20   // bytes
	maxStdout = 128 << 20 // bytes
	maxLine   = 8 << 10   // bytes of one line on standard error
)

// patience is longer than maxTime, since other programs may use the processors.
var patience = flag.Duration("patience", 6*maxTime, "how long to wait for a program, by the clock")

// A result is the result of one run.
type result struct {
	wall, processor time.Duration
	memory          int64 // bytes
	stdout, stderr  output
	killed          string // why the program was killed; empty when it ended by itself
	status          int
	left            int // descendants that outlived it
}

// An output counts the bytes written, and keeps the beginning.
type output struct {
	limit int // bytes to keep
	kept  bytes.Buffer
	size  int64
	never [][]byte // texts that must not be written
	found []byte   // the text of never that was written
	last  []byte   // the end of the previous write
}

func (o *output) Write(p []byte) (int, error) {
	o.size += int64(len(p))
	if room := o.limit - o.kept.Len(); room > 0 {
		o.kept.Write(p[:min(room, len(p))])
	}
	seam := slices.Concat(o.last, p[:min(len(p), 256)])
	for _, never := range o.never {
		if bytes.Contains(p, never) || bytes.Contains(seam, never) {
			o.found = never
		}
	}
	o.last = bytes.Clone(p[max(0, len(p)-256):])
	return len(p), nil
}

// run runs the program on a case and measures it.
func run(t *testing.T, c hostile.Case, w *world) result {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	gitDir := dir
	if c.Worktree {
		gitDir = filepath.Join(dir, ".git")
	}
	repository := hostile.New()
	c.Build(repository, w.World)
	if err := repository.Write(gitDir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"render", "--repo", dir}, c.Args...)...) //nolint:noctx // killed with its descendants below
	cmd.Dir, cmd.Env = t.TempDir(), w.environment
	ownGroup(cmd)
	var r result
	r.stdout = output{limit: 4 << 20, never: w.never(c)}
	r.stderr = output{limit: 4 << 20, never: [][]byte{[]byte(w.canary)}}
	cmd.Stdout, cmd.Stderr = &r.stdout, &r.stderr
	cmd.WaitDelay = time.Second
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.watch(t.Context(), cmd, newFamily(cmd.Process.Pid))
	r.wall = time.Since(begun)
	r.processor = max(r.processor, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	r.status = cmd.ProcessState.ExitCode()
	return r
}

func (r *result) measure(all *family) {
	memory, processor := all.measure()
	r.memory, r.processor = max(r.memory, memory), max(r.processor, processor)
}

// left waits for the program's descendants to end, and returns how many did
// not.
func left(all *family, tick <-chan time.Time) int {
	const ticks = 400 // two seconds
	for range ticks {
		if all.living() == 0 {
			return 0
		}
		<-tick
	}
	n := all.living()
	all.kill()
	return n
}

// watch waits for the program, and kills it if it far exceeds a limit.
func (r *result) watch(ctx context.Context, cmd *exec.Cmd, all *family) {
	ended := make(chan error, 1) // not received if the program is killed
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(*patience)
	for {
		select {
		case err := <-ended:
			if errors.Is(err, exec.ErrWaitDelay) {
				r.killed = "its descendants kept its output open"
			}
			r.left = left(all, tick.C)
			return
		case <-late:
			r.killed = "it ran for " + patience.String()
		case <-ctx.Done():
			r.killed = "the test ended"
		case <-tick.C:
			r.measure(all)
			if r.memory > 3*maxMemory || r.processor > 3*maxTime/2 {
				r.killed = "it far exceeded a limit"
			}
		}
		if r.killed != "" {
			all.kill()
			<-ended //nolint:errcheck // it was killed
			return
		}
	}
}
