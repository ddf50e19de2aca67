package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fedsync/fedsync/pkg/metrics"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/web/gate"
)

// servesEnv makes the test binary serve instead of testing, so that the cost of a crowd is
// measured in a process without the crowd.
const servesEnv = "FEDSYNC_TEST_SERVES"

// serveStrangers serves a report that changes every 100 ms, and prints the address. It
// ends when its standard input does.
func serveStrangers() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := metrics.New(reg, "v1")
	if err != nil {
		return err
	}
	var newest atomic.Pointer[status.Report]
	newest.Store(largeReport(2000))
	h := New(Options{
		Report: newest.Load, Gatherer: reg, AnswerBytes: metrics.AnswerBytes,
		WebhookSecret: func() ([]byte, error) { return crowdSecret, nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for tick := time.NewTicker(100 * time.Millisecond); ; <-tick.C {
			r := *newest.Load()
			r.Time = time.Now()
			newest.Store(&r)
		}
	}()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if _, err := fmt.Println(l.Addr()); err != nil { //nolint:forbidigo // The parent reads it.
		return err
	}
	return gate.Serve(ctx, l, h, gate.Options{Counts: metrics})
}

// A stranger is a way to use up a server's resources. It holds the connection until that
// is closed.
type stranger struct {
	name string
	act  func(conn net.Conn, pause func())
}

// send writes a request in parts, with pauses between them.
func send(conn net.Conn, pause func(), parts ...string) {
	for i, part := range parts {
		if i > 0 {
			pause()
		}
		if _, err := io.WriteString(conn, part); err != nil {
			return
		}
	}
}

func strangers() []stranger {
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: fedsync\r\n\r\n" }
	wait := func(conn net.Conn, _ func()) { _, _ = io.Copy(io.Discard, conn) }
	post := func(path, proof, body string) []string {
		half := strings.Repeat("x", maxDelivery/2)
		return []string{fmt.Sprintf("POST %s HTTP/1.1\r\nHost: fedsync\r\n%s\r\nContent-Length: %d\r\n\r\n",
			path, proof, len(half)+len(body)), half, body}
	}
	delivery := func(signature, body string) []string {
		return post("/webhook/gitea", "X-Gitea-Signature: "+signature, body)
	}
	posted := func(path, proof string) func(net.Conn, func()) {
		return func(conn net.Conn, pause func()) {
			send(conn, pause, post(path, proof, "y")...)
			wait(conn, pause)
		}
	}
	unread := func(path string) func(net.Conn, func()) {
		return func(conn net.Conn, pause func()) {
			for range 100 {
				send(conn, pause, get(path))
			}
			pause()
			pause()
		}
	}
	polling := func(path string) func(net.Conn, func()) {
		return func(conn net.Conn, pause func()) {
			go func() {
				for range 20 {
					send(conn, pause, get(path))
					pause()
				}
			}()
			wait(conn, pause)
		}
	}
	signed := func(of string) func(net.Conn, func()) {
		body := strings.Repeat("x", maxDelivery/2) + "y"
		mac := signature(of)
		return func(conn net.Conn, pause func()) {
			send(conn, pause, delivery(mac, body[maxDelivery/2:])...)
			wait(conn, pause)
		}
	}
	return []stranger{
		{"idle before a request", wait},
		{"idle after one", func(conn net.Conn, pause func()) { send(conn, pause, get("/healthz")); wait(conn, pause) }},
		{"slow headers", func(conn net.Conn, pause func()) {
			send(conn, pause, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 4096), strings.Repeat("x", 20<<10), "\r\nHost: ", "x")
			wait(conn, pause)
		}},
		{"slow body to a page", func(conn net.Conn, pause func()) {
			send(conn, pause, "POST / HTTP/1.1\r\nHost: fedsync\r\nContent-Length: 1000000\r\n\r\n", "x", "x", "x")
			wait(conn, pause)
		}},
		{"pages, unread", unread("/")},
		{"pages of a cluster, unread", unread("/clusters/c1")},
		{"reports, unread", unread("/api/v1/report")},
		{"pages, read", polling("/")},
		{"metrics, read", polling("/metrics")},
		{"metrics, unread", unread("/metrics")},
		{"deliveries without a signature", func(conn net.Conn, pause func()) {
			send(conn, pause, delivery("", "y")...)
			wait(conn, pause)
		}},
		{"deliveries, wrongly signed", signed("x")},
		{"deliveries, wrongly signed, of another forge", posted("/webhook/github", "X-Hub-Signature-256: sha256="+signature("x"))},
		{"deliveries with another token", posted("/webhook/gitlab", "X-Gitlab-Token: "+strings.Repeat("x", 16<<10))},
		{"deliveries with the token", posted("/webhook/gitlab", "X-Gitlab-Token: "+string(crowdSecret))},
		{"deliveries with another password", posted("/webhook/azuredevops", "Authorization: Basic eDp4")},
		{"pings without a signature", posted("/webhook/bitbucket", "X-Event-Key: diagnostics:ping")},
		{"deliveries, well signed", signed(strings.Repeat("x", maxDelivery/2) + "y")},
	}
}

// crowd is strangers that come back within seconds of being closed.
type crowd struct {
	address string // of the server
	came    atomic.Int64
	inside  atomic.Int64
	running sync.WaitGroup
}

// pause returns a random pause, so that they do not act in step.
func pause(ctx context.Context, most time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(rand.Int64N(int64(most)))):
	}
}

// gather makes n strangers of all kinds come from 64 addresses until ctx ends.
func (c *crowd) gather(ctx context.Context, n int) {
	kinds := strangers()
	for i := range n {
		kind := kinds[i%len(kinds)]
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%64))}}
		c.running.Go(func() {
			for ; ctx.Err() == nil; pause(ctx, 5*time.Second) {
				conn, err := from.DialContext(ctx, "tcp", c.address)
				if err != nil {
					continue
				}
				c.came.Add(1)
				c.inside.Add(1)
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				kind.act(conn, func() { pause(ctx, 2*time.Second) })
				stop()
				_ = conn.Close()
				c.inside.Add(-1)
			}
		})
	}
}

// probe requests /healthz from an address as kubelet does, on a new connection, and again
// if that is closed, until it is answered.
func probe(ctx context.Context, address, from string) (took time.Duration, tries int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*crowdPatient)
	defer cancel()
	for began := time.Now(); ; {
		tries++
		if err = probeOnce(ctx, address, from); err == nil || ctx.Err() != nil {
			return time.Since(began), tries, err
		}
		<-time.After(10 * time.Millisecond)
	}
}

func probeOnce(ctx context.Context, address, from string) error {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext,
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("answered %s", response.Status))
	}
	return errors.Join(err, response.Body.Close())
}

// The bars for a crowd: the memory that it costs on top of the server's usual, and how
// long a prober waits at the same time.
const (
	crowdMemory  = 256 << 20
	crowdPatient = 3 * time.Second
)

func TestAProberIsAnsweredDespiteACrowdOfAllKinds(t *testing.T) {
	// The bar is for an idle machine. While other tests run, a prober also waits for a
	// processor, which cannot be told from waiting for the server.
	n, lasting, patience := 600, 4*time.Second, 5*crowdPatient
	if os.Getenv("FEDSYNC_TEST_LONG") != "" {
		n, lasting, patience = 5000, 90*time.Second, crowdPatient
	}
	address := startServer(t)
	usual := memoryOf(t, address)

	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	c := &crowd{address: address}
	c.gather(ctx, n)
	defer c.running.Wait()
	var slowest time.Duration
	probes, sentAway, inside := 0, 0, int64(0)
	// From its own address, and from one that it shares with strangers.
	for i := 0; ctx.Err() == nil; i++ {
		took, tries, err := probe(t.Context(), address, []string{"127.0.0.1", "127.0.1.1"}[i%2])
		probes++
		sentAway += tries - 1
		slowest, inside = max(slowest, took), max(inside, c.inside.Load())
		if err != nil || took > patience {
			t.Errorf("probe %d is answered after %s, %v; want at most %s", i, took, err, patience)
		}
		<-time.After(50 * time.Millisecond)
	}
	c.running.Wait()
	now := memoryOf(t, address)
	t.Logf("%d strangers came %d times, up to %d at once; %d probes, closed %d times, the slowest took %s; %d MiB above %d MiB",
		n, c.came.Load(), inside, probes, sentAway, slowest, (now-usual)>>20, usual>>20)
	if now-usual > crowdMemory {
		t.Errorf("the server took %d MiB more than usual, want at most %d", (now-usual)>>20, crowdMemory>>20)
	}
}

// startServer serves in another process until the test ends.
func startServer(t *testing.T) (address string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.CommandContext(context.WithoutCancel(t.Context()), program)
	server.Env = append(os.Environ(), servesEnv+"=1")
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := server.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	address, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	return strings.TrimSpace(address)
}

// memoryOf returns the most memory that the server has had from the system, in bytes,
// after it has made each page and report.
func memoryOf(t *testing.T, address string) int64 {
	t.Helper()
	var body []byte
	for _, path := range []string{"/", "/clusters/c1", "/api/v1/report", "/metrics"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(response.Body); err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	for line := range strings.Lines(string(body)) {
		var bytes float64
		if _, err := fmt.Sscanf(line, "go_memstats_sys_bytes %g", &bytes); err == nil {
			return int64(bytes)
		}
	}
	t.Fatalf("no memory in the metrics: %s", body)
	return 0
}
