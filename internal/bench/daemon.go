package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// daemon is a fedsync that runs, as a program of its own.
type daemon struct {
	cmd     *exec.Cmd
	page    string // its address: "http://127.0.0.1:41234"
	began   time.Time
	logFile string
	reading sync.WaitGroup

	mu   sync.Mutex // protects last
	last [][]byte   // lines of the log, for errors
}

// startDaemon starts fedsync on a repository and returns when its page answers.
// Its cache is in dir, so that no other fedsync of this machine has a say in it.
func startDaemon(ctx context.Context, program, dir, repository, kubeconfig string, args ...string) (*daemon, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	d := &daemon{logFile: filepath.Join(dir, "fedsync.log")}
	log, err := os.OpenFile(d.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	d.cmd = exec.Command(program, append([]string{
		"run", "--repo", repository, "--kubeconfig", kubeconfig,
		"--listen", "127.0.0.1:0", "--log-format", "json",
	}, args...)...)
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CACHE_HOME=" + filepath.Join(dir, "cache")}
	ownGroup(d.cmd)
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	d.began = time.Now()
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start fedsync: %w", err)
	}
	listening := make(chan string, 1) // the one address; nobody may be waiting any more
	d.reading.Go(func() {
		defer close(listening)
		d.read(stderr, log, listening)
		_ = log.Close() // it is for people
	})
	select {
	case address, ok := <-listening:
		if !ok {
			d.kill()
			return nil, fmt.Errorf("start fedsync: it ended\n%s", d.lastWords())
		}
		d.page = "http://" + address
		return d, nil
	case <-ctx.Done():
		d.kill()
		return nil, ctx.Err()
	}
}

// read keeps the log, and finds in it the address that fedsync listens on.
func (d *daemon) read(from io.Reader, log io.Writer, listening chan<- string) {
	found := false
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := bytes.Clone(lines.Bytes())
		_, _ = log.Write(append(line, '\n')) // it is for people
		d.mu.Lock()
		d.last = append(d.last, line)
		d.last = d.last[max(0, len(d.last)-20):]
		d.mu.Unlock()
		var entry struct{ Msg, Address string }
		if !found && json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" {
			found = true
			listening <- entry.Address
		}
	}
	_, _ = io.Copy(io.Discard, from) // it must not block on a line that is too long
}

func (d *daemon) lastWords() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return string(bytes.Join(d.last, []byte("\n")))
}

// kill ends it as a power failure would.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill() // it may have ended
	d.reading.Wait()
	_ = d.cmd.Wait() // killed is what it should be
}

// stop lets it end what is under way.
func (d *daemon) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	impatient := time.AfterFunc(30*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer impatient.Stop()
	d.reading.Wait()
	if err := d.cmd.Wait(); err != nil {
		return fmt.Errorf("fedsync: %w\n%s", err, d.lastWords())
	}
	return nil
}

// report asks for the newest report.
func (d *daemon) report(ctx context.Context) (*status.Report, error) {
	var r status.Report
	body, err := d.get(ctx, "/api/v1/report")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	return &r, nil
}

func (d *daemon) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.page+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end, or the error is known
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, bytes.TrimSpace(body))
	}
	return body, err
}

// until waits for a report.
func (d *daemon) until(ctx context.Context, limit time.Duration, what string, so func(*status.Report) bool) error {
	err := wait(ctx, limit, 50*time.Millisecond, what, func(ctx context.Context) (bool, string) {
		r, err := d.report(ctx)
		if err != nil {
			return false, err.Error()
		}
		return so(r), fmt.Sprintf("%s %s: %s", r.Revision, r.State, r.Description)
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w\nfedsync's log ends with\n%s", err, d.lastWords())
	}
	return err
}

// live says whether a report is a success at a commit.
func live(id string) func(*status.Report) bool {
	return func(r *status.Report) bool { return r.Revision.SHA == id && r.State == status.Success }
}

// memory gives VmRSS and VmHWM of /proc/PID/status: what is resident now and the
// most that ever was, in MB of 10⁶ bytes.
func (d *daemon) memory() (now, most float64, err error) {
	file := "/proc/" + strconv.Itoa(d.cmd.Process.Pid) + "/status"
	for name, value := range map[string]*float64{"VmRSS": &now, "VmHWM": &most} {
		text, err := field(file, name)
		if err != nil {
			return 0, 0, err
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read %s: %w", file, err)
		}
		*value = kib * 1024 / 1e6
	}
	return now, most, nil
}

// cpu gives the processor time that it has used.
func (d *daemon) cpu() (time.Duration, error) {
	p, err := readProcess("/proc/" + strconv.Itoa(d.cmd.Process.Pid) + "/stat")
	return time.Duration(p.ownTicks) * 10 * time.Millisecond, err
}
