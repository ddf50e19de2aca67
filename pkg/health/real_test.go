package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/sandboxtest"
	"github.com/fedsync/fedsync/pkg/federation"
)

// What tests against real clusters have in common.

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// patience is more than anything here takes on a busy machine.
const patience = 30 * time.Second

// member is a cluster, our namespace in it and clients of our own.
type member struct {
	sandbox   *sandboxtest.Sandbox
	name      string
	namespace string
	cfg       *rest.Config // an administrator's
	client    dynamic.Interface
}

func newMember(t *testing.T, s *sandboxtest.Sandbox) *member {
	t.Helper()
	m := &member{sandbox: s, name: s.Clusters()[0], namespace: s.Namespace(t)}
	m.cfg = s.RESTConfig(m.name)
	m.client, _ = newClient(t, m.cfg)
	return m
}

// newClient makes a client with connections of its own, which the test's end
// closes.
func newClient(t *testing.T, cfg *rest.Config) (dynamic.Interface, *Connections) {
	t.Helper()
	cfg, connections := TrackConnections(cfg)
	cfg.QPS, cfg.WarningHandler = -1, rest.NoWarnings{}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connections.Close)
	return client, connections
}

func (m *member) create(t *testing.T, name string, labels map[string]string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("v1")
	u.SetKind("ConfigMap")
	u.SetName(name)
	u.SetLabels(labels)
	u, err := m.client.Resource(configMaps).Namespace(m.namespace).Create(t.Context(), u, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (m *member) label(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	u, err := m.client.Resource(configMaps).Namespace(m.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u.SetLabels(labels)
	if _, err := m.client.Resource(configMaps).Namespace(m.namespace).Update(t.Context(), u, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (m *member) delete(t *testing.T, name string) {
	t.Helper()
	if err := m.client.Resource(configMaps).Namespace(m.namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// recorder is a sink that tests read.
type recorder struct {
	mu     sync.Mutex // protects what follows
	events []Event
	more   chan struct{} // closed at the next event
	next   int           // the first event that wait has not passed
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{})} }

func (r *recorder) sink(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.more)
	r.more = make(chan struct{})
}

// wait passes events by until one reads as wanted, and gives what it passed,
// each as "type name", and how long that took.
func (r *recorder) wait(t *testing.T, wanted string) ([]string, time.Duration) {
	t.Helper()
	started := time.Now()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	var passed []string
	for {
		r.mu.Lock()
		more := r.more
		for r.next < len(r.events) {
			event := line(r.events[r.next])
			passed = append(passed, event)
			r.next++
			if event == wanted {
				r.mu.Unlock()
				return passed, time.Since(started)
			}
		}
		r.mu.Unlock()
		select {
		case <-more:
		case <-deadline.C:
			t.Fatalf("no event %q within %v, only %q", wanted, patience, passed)
		}
	}
}

func line(e Event) string {
	switch e.Type {
	case Upserted, Deleted:
		return fmt.Sprintf("%s %s", e.Type, e.Object.GetName())
	case Failed:
		if e.Err.NotServed {
			return "failed not served"
		}
		return fmt.Sprintf("failed %s", e.Err.Failure)
	case Listed, Restored, Stopped:
	}
	return string(e.Type)
}

// start runs a watcher until the test ends.
func start(t *testing.T, client dynamic.Interface, sink func(Event), want ...Watch) *Watcher {
	t.Helper()
	w := NewWatcher(client, sink)
	w.Want(want)
	t.Cleanup(runUntil(t, w))
	return w
}

// runUntil runs a watcher until stop is called.
func runUntil(t *testing.T, w *Watcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// counter counts the requests that go through it, by what they ask for.
type counter struct {
	mu   sync.Mutex // protects seen
	seen []string
}

func (c *counter) wrap(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			verb := req.Method
			if req.URL.Query().Get("watch") != "" {
				verb = "WATCH"
			}
			c.mu.Lock()
			c.seen = append(c.seen, verb+" "+req.URL.Path)
			c.mu.Unlock()
			return next.RoundTrip(req)
		})
	})
	return cfg
}

func (c *counter) list() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// testWire is a line between clients and a cluster, for a test to break.
type testWire struct {
	mu      sync.Mutex // protects what follows
	state   wireState
	conns   []*testConn
	changed chan struct{} // closed at the next change; made by the first dial that waits
}

type wireState int

const (
	whole    wireState = iota
	cut                // connections are reset, new ones refused
	swallows           // nothing arrives and nothing is told, as in a partition
)

func (w *testWire) config(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Dial = w.dial
	return cfg
}

func (w *testWire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.state {
	case cut:
		return nil, errors.New("the wire is cut")
	case swallows:
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-changed:
		}
		w.mu.Lock()
		return nil, errors.New("nothing came back over the wire")
	case whole:
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &testConn{Conn: conn, closed: make(chan struct{})}
	w.conns = append(w.conns, c)
	return c, nil
}

// set changes the state. Connections that swallow do so for ever: what a partition
// did to them shows only much later.
func (w *testWire) set(state wireState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = state
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
	for _, conn := range w.conns {
		switch state {
		case cut:
			_ = conn.Close()
		case swallows:
			conn.swallows.Store(true)
		case whole:
		}
	}
}

type testConn struct {
	net.Conn
	swallows atomic.Bool
	once     sync.Once
	closed   chan struct{}
}

func (c *testConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.swallows.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *testConn) Write(b []byte) (int, error) {
	if c.swallows.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *testConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// served gives how many requests of the restricted user an API server has counted
// as dispatched. That user's are the only ones of their flow schema: all programs
// of a sandbox, and the tests' other clients, are administrators.
func served(t *testing.T, cfg *rest.Config) int {
	t.Helper()
	cfg, connections := TrackConnections(cfg)
	defer connections.Close()
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, cfg.Host+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // It was only read.
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s, %v", resp.Status, err)
	}
	total := 0
	for line := range strings.Lines(string(body)) {
		labels, count, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(labels, "apiserver_flowcontrol_dispatched_requests_total{") ||
			!strings.Contains(labels, `flow_schema="global-default"`) {
			continue
		}
		n, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("read %q: %v", line, err)
		}
		total += n
	}
	return total
}

// probes keeps what a prober reports.
type probes struct{ reports chan Probe }

// probe probes until the test ends and also calls react with each report.
func probe(t *testing.T, cfg *rest.Config, react func(Probe)) *probes {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &probes{reports: make(chan Probe, 100)} // more than a test makes happen
	done := make(chan struct{})
	go func() {
		defer close(done)
		NewProber(cfg, ProberOptions{}).Run(ctx, func(probe Probe) {
			react(probe)
			p.reports <- probe
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return p
}

// wait passes reports by until one has the state and the class.
func (p *probes) wait(t *testing.T, state federation.ClusterState, failure federation.FailureClass) Probe {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	var passed []Probe
	for {
		select {
		case probe := <-p.reports:
			if probe.State == state && probe.Failure == failure {
				return probe
			}
			passed = append(passed, probe)
		case <-deadline.C:
			t.Fatalf("no report of %s %q within %v, only %+v", state, failure, patience, passed)
		}
	}
}
