// Command demo shows fedsync at work: three real clusters, a repository, the
// daemon. It prints where the page and the repository are and how to push a
// change, and runs until it is interrupted. With --once it takes the tour in
// tour.go by itself and exits.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

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
	sandbox    string // its folder
	kubeconfig string
	clusters   []string
	repository string // bare
	work       string // a clone of it
	page       string
	cloud      *cloud // nil with --gcp=false
}

func run(ctx context.Context, once, gcp bool) (err error) {
	dir, err := os.MkdirTemp("", "fedsync-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d := &demo{dir: dir, sandbox: filepath.Join(dir, "sandbox"), work: filepath.Join(dir, "web")}
	if gcp {
		d.cloud = &cloud{}
	}

	say("Starting three Kubernetes control planes …")
	stopSandbox, err := d.startSandbox(ctx)
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	defer stopSandbox()

	say("Pushing examples/echo to a new repository …")
	if err := d.seed(ctx); err != nil {
		return err
	}
	stopDaemon, err := d.startDaemon()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopDaemon()) }()

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
  bin/sandbox revive-nodes %[3]s --dir %[4]s`, d.cloud.Proxy, d.cloud.address, d.clusters[2], d.sandbox)
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

Press Ctrl-C to stop everything; nothing is left behind.`, d.page, d.repository, d.kubeconfig, d.clusters[1], d.sandbox)
}

// startSandbox starts the clusters. They stop when this process ends, however
// it ends.
func (d *demo) startSandbox(ctx context.Context) (stop func(), err error) {
	args := []string{"up", "--clusters", "3", "--dir", d.sandbox}
	if d.cloud != nil {
		args = append(args, "--gcp")
	}
	cmd := exec.CommandContext(ctx, "bin/sandbox", args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = time.Minute
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = stdin.Close()
		_ = cmd.Wait() // only its end matters
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("sandbox did not report that it is ready: %w", err)
	}
	var box struct {
		Kubeconfig, Repository string
		Clusters               []string
		GCP                    *cloud
	}
	box.GCP = d.cloud
	if err := json.Unmarshal(line, &box); err != nil {
		stop()
		return nil, err
	}
	d.kubeconfig, d.repository, d.clusters = box.Kubeconfig, box.Repository, box.Clusters
	return stop, nil
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

// startDaemon starts fedsync. The function that it returns stops it and returns
// how it ended.
func (d *demo) startDaemon() (stop func() error, err error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	d.page = "http://" + address
	log, err := os.Create(filepath.Join(d.dir, "fedsync.log"))
	if err != nil {
		return nil, err
	}
	args := []string{
		"run", "--repo", d.repository, "--kubeconfig", d.kubeconfig,
		"--commit-status", "gitnotes", "--listen", address,
	}
	if d.cloud != nil {
		args = append(args, "--gcp-endpoint", d.cloud.Endpoint)
	}
	cmd := exec.Command("bin/fedsync", args...)
	cmd.Stdout, cmd.Stderr = log, log
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err := cmd.Wait()
		_ = log.Close()
		if err != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("fedsync: %w\n%s", err, text)
		}
		return nil
	}, nil
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
	var report status.Report
	err = wait(ctx, 2*time.Minute, "the commit to be live", func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.page+"/api/v1/report", nil)
		if err != nil {
			return false, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil // the daemon is not listening yet
		}
		defer func() { _ = resp.Body.Close() }()
		report = status.Report{}
		if err := json.NewDecoder(resp.Body).Decode(&report); err != nil {
			return false, nil // there is no report yet
		}
		return report.Revision.SHA == strings.TrimSpace(string(head)) && report.State == status.Success, nil
	})
	if err != nil && !report.Description.IsZero() {
		err = fmt.Errorf("%w; last: %s", err, report.Description)
	}
	return &report, time.Since(started), err
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

// ownGroup keeps a Ctrl-C at the terminal from reaching the child: this process
// stops it.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func say(format string, args ...any) {
	io.WriteString(os.Stdout, fmt.Sprintf(format, args...)+"\n") //nolint:errcheck // There is nowhere else to report it.
}
