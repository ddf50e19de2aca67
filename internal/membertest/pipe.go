package membertest

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

// Pipe is a server over net.Pipe, so that a synctest bubble's clock applies to both ends
// of the connection.
type Pipe struct {
	server  http.Server
	conns   chan net.Conn
	Started time.Time

	mu       sync.Mutex // protects what follows
	respond  http.HandlerFunc
	requests []string // time and path
}

// NewPipe returns a server that is Ready, and closes with the test.
func NewPipe(t *testing.T) *Pipe {
	c := &Pipe{conns: make(chan net.Conn), Started: time.Now()}
	c.Set(Ready)
	c.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.requests = append(c.requests, fmt.Sprintf("%v %s", time.Since(c.Started), r.URL.Path))
		respond := c.respond
		c.mu.Unlock()
		respond(w, r)
	})
	go c.server.Serve(c) //nolint:errcheck // It ends with the test.
	t.Cleanup(func() { _ = c.server.Close() })
	return c
}

// Ready answers as a healthy API server.
func Ready(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/version" {
		_, _ = io.WriteString(w, `{"major":"1","minor":"37","gitVersion":"v1.37.2"}`)
		return
	}
	_, _ = io.WriteString(w, "ok")
}

// Hang never answers.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Fail answers with a status.
func Fail(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// Set changes the answers from the next request on.
func (c *Pipe) Set(respond http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.respond = respond
}

// Config returns a configuration that connects to it.
func (c *Pipe) Config() *rest.Config {
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

// Accept implements net.Listener.
func (c *Pipe) Accept() (net.Conn, error) {
	conn, ok := <-c.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// Close implements net.Listener.
func (c *Pipe) Close() error { close(c.conns); return nil }

// Addr implements net.Listener.
func (c *Pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// Seen returns the requests in order, each with the time since the start.
func (c *Pipe) Seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.requests)
}
