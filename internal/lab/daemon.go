package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// Daemon is fedsync as a process of its own, which can be killed. Get and Report need
// only its URL.
type Daemon struct {
	URL   string // of its page: "http://127.0.0.1:41234"
	Pid   int
	Began time.Time
	Ended chan struct{} // closed when it has ended

	cmd     *exec.Cmd
	err     error // how it ended
	logFile string
	from    int64 // the offset of its own part of the log
}

// listening matches the log line with the address, in both log formats.
var listening = regexp.MustCompile(`\blistening\b.*"address": ?"([^"]+)"`)

// StartDaemon starts a command that runs fedsync and returns when it listens. Its output
// is appended to a file. It ends with Stop or Kill, and on Linux with this program, even
// if this program is killed. ctx bounds only the start.
func StartDaemon(ctx context.Context, logFile string, cmd *exec.Cmd) (*Daemon, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the daemon has its own descriptor
	d := &Daemon{cmd: cmd, logFile: logFile, Began: time.Now(), Ended: make(chan struct{})}
	if d.from, err = log.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, apart()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start fedsync: %w", err)
	}
	d.Pid = cmd.Process.Pid
	go func() {
		defer close(d.Ended)
		d.err = cmd.Wait()
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if found := listening.FindStringSubmatch(d.Log()); found != nil {
			d.URL = "http://" + found[1]
			return d, nil
		}
		select {
		case <-d.Ended:
			return nil, fmt.Errorf("start fedsync: it ended: %w\n%s", d.err, d.LastWords())
		case <-ctx.Done():
			d.Kill()
			return nil, fmt.Errorf("start fedsync: %w\n%s", ctx.Err(), d.LastWords())
		case <-tick.C:
		}
	}
}

// Kill ends the daemon as a power failure would.
func (d *Daemon) Kill() {
	_ = d.cmd.Process.Kill() // it may have ended
	<-d.Ended
}

// Stop ends the daemon, which first finishes what is under way, and returns how it ended.
func (d *Daemon) Stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	impatient := time.AfterFunc(30*time.Second, func() { _ = d.cmd.Process.Kill() })
	defer impatient.Stop()
	<-d.Ended
	if d.err != nil {
		return fmt.Errorf("fedsync: %w\n%s", d.err, d.LastWords())
	}
	return nil
}

// Log returns what the daemon has printed.
func (d *Daemon) Log() string {
	all, err := os.ReadFile(d.logFile)
	if err != nil {
		return err.Error()
	}
	return string(all[min(d.from, int64(len(all))):])
}

// LastWords returns the last lines of the log, for errors.
func (d *Daemon) LastWords() string {
	lines := strings.Split(strings.TrimSpace(d.Log()), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// Get reads a path of the daemon's page.
func (d *Daemon) Get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.URL+path, nil)
	if err != nil {
		return nil, err
	}
	// Idle connections would be leaked goroutines.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it was read to its end, or the error is known
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, bytes.TrimSpace(body))
	}
	return body, err
}

// Report returns the newest report.
func (d *Daemon) Report(ctx context.Context) (*status.Report, error) {
	body, err := d.Get(ctx, "/api/v1/report")
	if err != nil {
		return nil, err
	}
	var report status.Report
	if err := json.Unmarshal(body, &report); err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	return &report, nil
}

// Memory returns how many bytes are resident now, and the highest number so far: VmRSS
// and VmHWM of /proc. It needs Linux.
func (d *Daemon) Memory() (now, most int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Pid))
	for name, value := range map[string]*int64{"\nVmRSS:": &now, "\nVmHWM:": &most} {
		_, rest, _ := bytes.Cut(text, []byte(name))
		if _, scanErr := fmt.Sscanf(string(rest), "%d kB", value); err == nil {
			err = scanErr
		}
		*value <<= 10
	}
	return now, most, err
}

// Processor returns the processor time that the daemon has used. It needs Linux.
func (d *Daemon) Processor() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is a name in parentheses, which may contain anything. The 14th and
	// 15th are times in ticks of 10 ms, on every architecture of Linux.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is too short", d.Pid)
	}
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err
}
