package health

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// pipeCluster answers over net.Pipe, so that a bubble's clock is in force on both
// sides of the connection.
type pipeCluster struct {
	server  http.Server
	conns   chan net.Conn
	started time.Time

	mu       sync.Mutex // protects what follows
	respond  http.HandlerFunc
	requests []string // when, and for what
}

func newPipeCluster(t *testing.T) *pipeCluster {
	c := &pipeCluster{conns: make(chan net.Conn), started: time.Now()}
	c.set(ready)
	c.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.requests = append(c.requests, fmt.Sprintf("%v %s", time.Since(c.started), r.URL.Path))
		respond := c.respond
		c.mu.Unlock()
		respond(w, r)
	})
	go c.server.Serve(c) //nolint:errcheck // It ends with the test.
	t.Cleanup(func() { _ = c.server.Close() })
	return c
}

func ready(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/version" {
		_, _ = io.WriteString(w, `{"major":"1","minor":"37","gitVersion":"v1.37.2"}`)
		return
	}
	_, _ = io.WriteString(w, "ok")
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func fail(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func (c *pipeCluster) set(respond http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.respond = respond
}

func (c *pipeCluster) config() *rest.Config {
	return &rest.Config{Host: "http://cluster", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case c.conns <- theirs:
			return ours, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
}

// Accept, Close and Addr make it a net.Listener.
func (c *pipeCluster) Accept() (net.Conn, error) {
	conn, ok := <-c.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (c *pipeCluster) Close() error   { close(c.conns); return nil }
func (c *pipeCluster) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (c *pipeCluster) seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}
