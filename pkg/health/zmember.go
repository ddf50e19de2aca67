package health

import (
	"context"
	"errors"
	"fmt"
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

	"github.com/fedsync/fedsync/internal/sandboxtest"
	"github.com/fedsync/fedsync/pkg/bounds"
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
func newClient(t *testing.T, cfg *rest.Config) (dynamic.Interface, *bounds.Connections) {
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

// make creates an object, given in YAML, in our namespace.
func (m *member) make(t *testing.T, resource schema.GroupVersionResource, object string) *unstructured.Unstructured {
	t.Helper()
	u, err := m.client.Resource(resource).Namespace(m.namespace).
		Create(t.Context(), liveObject(t, []byte(object)), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (m *member) patch(t *testing.T, resource schema.GroupVersionResource, name, patch string, subresources ...string) {
	t.Helper()
	_, err := m.client.Resource(resource).Namespace(m.namespace).
		Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, subresources...)
	if err != nil {
		t.Fatal(err)
	}
}

// age makes the pods that have no node wait for longer than they do, to save the
// test a minute.
func (m *member) age(t *testing.T) {
	t.Helper()
	pods, err := m.client.Resource(podsResource).Namespace(m.namespace).
		List(t.Context(), metav1.ListOptions{FieldSelector: podsWatch.FieldSelector})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range pods.Items {
		m.patch(t, podsResource, u.GetName(), fmt.Sprintf(
			`{"status":{"conditions":[{"type":"PodScheduled","lastTransitionTime":%q}]}}`,
			time.Now().Add(-2*time.Minute).UTC().Format(time.RFC3339)), "status")
	}
}
