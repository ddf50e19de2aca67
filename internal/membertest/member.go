package membertest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/bounds"
)

// Shared by tests against real clusters.

// ConfigMaps are the objects that most tests create.
var ConfigMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// Patience is longer than anything here takes on a busy machine.
const Patience = 30 * time.Second

// Member is a cluster with a namespace and clients for one test.
type Member struct {
	Sandbox   *lab.Sandbox
	Name      string
	Namespace string
	Cfg       *rest.Config // an administrator's
	Client    dynamic.Interface
}

// NewMember returns the first cluster of a sandbox, with a namespace that is deleted at
// the end of the test.
func NewMember(t *testing.T, s *lab.Sandbox) *Member {
	t.Helper()
	m := &Member{Sandbox: s, Name: s.Clusters()[0], Namespace: s.Namespace(t)}
	m.Cfg = s.RESTConfig(m.Name)
	m.Client, _ = NewClient(t, m.Cfg)
	return m
}

// NewClient returns a client with connections of its own, which are closed at the end of
// the test.
func NewClient(t *testing.T, cfg *rest.Config) (dynamic.Interface, *bounds.Connections) {
	t.Helper()
	cfg, connections := bounds.TrackConnections(cfg)
	cfg.QPS, cfg.WarningHandler = -1, rest.NoWarnings{}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connections.Close)
	return client, connections
}

// Create creates a ConfigMap.
func (m *Member) Create(t *testing.T, name string, labels map[string]string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("v1")
	u.SetKind("ConfigMap")
	u.SetName(name)
	u.SetLabels(labels)
	u, err := m.Client.Resource(ConfigMaps).Namespace(m.Namespace).Create(t.Context(), u, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Label replaces the labels of a ConfigMap.
func (m *Member) Label(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	u, err := m.Client.Resource(ConfigMaps).Namespace(m.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u.SetLabels(labels)
	if _, err := m.Client.Resource(ConfigMaps).Namespace(m.Namespace).Update(t.Context(), u, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Delete deletes a ConfigMap.
func (m *Member) Delete(t *testing.T, name string) {
	t.Helper()
	if err := m.Client.Resource(ConfigMaps).Namespace(m.Namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Counter records the requests that pass through it.
type Counter struct {
	mu   sync.Mutex // protects seen
	seen []string
}

// Wrap returns a configuration whose requests are recorded.
func (c *Counter) Wrap(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return RoundTrip(func(req *http.Request) (*http.Response, error) {
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

// List returns the requests in order, as "VERB /path".
func (c *Counter) List() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.seen)
}

// RoundTrip is a function as an http.RoundTripper.
type RoundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f RoundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Wire is the network between clients and a cluster, for a test to break.
type Wire struct {
	mu      sync.Mutex // protects what follows
	state   wireState
	conns   []*testConn
	changed chan struct{} // closed at the next change; created by the first dial that waits
}

type wireState int

// States of a Wire.
const (
	Whole    wireState = iota
	Cut                // connections are reset, new ones refused
	Swallows           // data is lost without an error, as in a partition
)

// Config returns a configuration whose connections run over the wire.
func (w *Wire) Config(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Dial = w.dial
	return cfg
}

func (w *Wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.state {
	case Cut:
		return nil, errors.New("the wire is cut")
	case Swallows:
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
	case Whole:
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &testConn{Conn: conn, closed: make(chan struct{})}
	w.conns = append(w.conns, c)
	return c, nil
}

// Set changes the state. Connections that swallow data do so forever, because real
// clients notice only much later what a partition did to them.
func (w *Wire) Set(state wireState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = state
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
	for _, conn := range w.conns {
		switch state {
		case Cut:
			_ = conn.Close()
		case Swallows:
			conn.swallows.Store(true)
		case Whole:
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

// Make creates an object, given in YAML, in our namespace.
func (m *Member) Make(t *testing.T, resource schema.GroupVersionResource, object string) *unstructured.Unstructured {
	t.Helper()
	u, err := m.Client.Resource(resource).Namespace(m.Namespace).
		Create(t.Context(), LiveObject(t, []byte(object)), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Patch changes an object, or a subresource of it, by a strategic merge patch.
func (m *Member) Patch(t *testing.T, resource schema.GroupVersionResource, name, patch string, subresources ...string) {
	t.Helper()
	_, err := m.Client.Resource(resource).Namespace(m.Namespace).
		Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, subresources...)
	if err != nil {
		t.Fatal(err)
	}
}
