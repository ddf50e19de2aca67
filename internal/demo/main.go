// Command demo shows fedsync at work: three real clusters, a repository, the
// daemon. It prints where the page and the repository are and how to push a
// change, and runs until it is interrupted. With --once it takes the tour in
// tour.go by itself and exits.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status"
)

func main() {
	once := flag.Bool("once", false, "take the tour and exit")
	gcp := flag.Bool("gcp", runtime.GOOS == "linux", "run a stand-in for Compute Engine, with a load balancer in front of all clusters (Linux only)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *once, *gcp)
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo holds what runs and where it is.
type demo struct {
	dir        string
	sandbox    *lab.Sandbox
	clusters   []string
	repository string // bare
	work       string // a clone of it
	daemon     *lab.Daemon
	cloud      *cloud // nil with --gcp=false
}

func run(ctx context.Context, once, gcp bool) (err error) {
	dir, err := os.MkdirTemp("", "fedsync-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d := &demo{dir: dir, work: filepath.Join(dir, "web")}
	var options []lab.Option
	if gcp {
		options = append(options, lab.WithGCP(0))
	}

	say("Starting three Kubernetes control planes …")
	if d.sandbox, err = lab.Start(ctx, 3, options...); err != nil {
		return err
	}
	defer d.sandbox.Stop()
	d.clusters, d.repository = d.sandbox.Clusters(), d.sandbox.Description().Repository
	if gcp {
		d.cloud = &cloud{GCPDescription: d.sandbox.Description().GCP}
	}

	say("Pushing examples/echo to a new repository …")
	if err := d.seed(ctx); err != nil {
		return err
	}
	if err := d.startDaemon(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.daemon.Stop()) }()

	report, took, err := d.live(ctx)
	if err != nil {
		return err
	}
	say("%s is live in %d clusters after %s: %s", report.Revision, len(report.Clusters), took.Round(10*time.Millisecond), report.Description)
	if err := d.divided(ctx); err != nil {
		return err
	}
	if d.cloud != nil {
		if err := d.oneAddress(ctx, address(report)); err != nil {
			return err
		}
	}
	if once {
		return d.tour(ctx)
	}
	d.invite()
	<-ctx.Done()
	return nil
}

func (d *demo) invite() {
	if d.cloud != nil {
		say(`
Send requests to the address, and kill the nodes of a cluster:

  curl --proxy %[1]s http://%[2]s/
  bin/sandbox kill-nodes %[3]s --dir %[4]s
  bin/sandbox revive-nodes %[3]s --dir %[4]s`, d.cloud.Proxy, d.cloud.address, d.clusters[2], d.sandbox.Description().Dir)
	}
	say(`
The page        %[1]s
The repository  %[2]s

Push a change:

  git clone %[2]s web && cd web
  sed -i 's/replicas: 7/replicas: 14/' apps/echo/base/replicaset.yaml
  git commit -am 'Fourteen replicas' && git push

or take a cluster down and bring it up again:

  bin/sandbox kill %[4]s --dir %[5]s
  bin/sandbox start %[4]s --dir %[5]s

and watch the page, or run:

  bin/fedsync status --repo %[2]s --kubeconfig %[3]s
  bin/fedsync doctor --repo %[2]s --kubeconfig %[3]s
  git -C %[2]s log --notes=fedsync

Press Ctrl-C to stop everything; nothing is left behind.`, d.daemon.URL, d.repository, d.sandbox.Kubeconfig(), d.clusters[1], d.sandbox.Description().Dir)
}

func (d *demo) seed(ctx context.Context) error {
	if err := os.CopyFS(d.work, os.DirFS("examples/echo")); err != nil {
		return err
	}
	if d.cloud != nil {
		if err := d.cloud.declare(d.work); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"remote", "add", "origin", d.repository},
		{"add", "--all"},
		{"commit", "--quiet", "--message", "Add echo"},
		{"push", "--quiet", "--set-upstream", "origin", "HEAD:main"},
	} {
		if err := d.git(ctx, d.work, args...); err != nil {
			return err
		}
	}
	return nil
}

// startDaemon starts fedsync.
func (d *demo) startDaemon(ctx context.Context) (err error) {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	args := []string{
		"run", "--repo", d.repository, "--kubeconfig", d.sandbox.Kubeconfig(),
		"--commit-status", "gitnotes", "--listen", address,
	}
	if d.cloud != nil {
		args = append(args, "--gcp-endpoint", d.cloud.Endpoint)
	}
	d.daemon, err = lab.StartDaemon(ctx, filepath.Join(d.dir, "fedsync.log"), exec.Command("bin/fedsync", args...))
	return err
}

// freeAddress prefers the address that the documentation names.
func freeAddress() (string, error) {
	for _, address := range []string{"127.0.0.1:8080", "127.0.0.1:0"} {
		l, err := net.Listen("tcp", address)
		if err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("no port is free")
}

// live waits until the repository's newest commit is live everywhere.
func (d *demo) live(ctx context.Context) (*status.Report, time.Duration, error) {
	started := time.Now()
	head, err := exec.CommandContext(ctx, "git", "-C", d.repository, "rev-parse", "main").Output()
	if err != nil {
		return nil, 0, fmt.Errorf("read the repository's head: %w", err)
	}
	var report *status.Report
	err = wait(ctx, 2*time.Minute, "the commit to be live", func() (bool, error) {
		newest, err := d.daemon.Report(ctx)
		if err != nil {
			return false, nil //nolint:nilerr // There is no report yet.
		}
		report = newest
		return report.Revision.SHA == strings.TrimSpace(string(head)) && report.State == status.Success, nil
	})
	if err != nil && report != nil {
		err = fmt.Errorf("%w; last: %s", err, report.Description)
	}
	return report, time.Since(started), err
}

// address returns the address of the first load balancer that has one.
func address(r *status.Report) string {
	for _, b := range r.Balancers {
		if b.Address != "" {
			return b.Address
		}
	}
	return ""
}

func (d *demo) git(ctx context.Context, dir string, args ...string) error {
	who := []string{"-c", "user.name=Demo", "-c", "user.email=demo@example.com", "-c", "init.defaultBranch=main"}
	return d.show(ctx, dir, "git", append(who, args...)...)
}

// show runs a command whose output is for the reader.
func (d *demo) show(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// wait checks every 20 ms until the condition holds.
func wait(ctx context.Context, limit time.Duration, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if done, err := holds(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
}

func say(format string, args ...any) {
	io.WriteString(os.Stdout, fmt.Sprintf(format, args...)+"\n") //nolint:errcheck // There is nowhere else to report it.
}
