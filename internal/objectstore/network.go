package objectstore

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
)

// Serve returns a configuration for access to the store over connections, which its users
// can cut, unlike with [Store.Config]. It serves until ctx ends. The connections are
// pipes, so that everything still runs in a bubble of testing/synctest.
func (s *Store) Serve(ctx context.Context) *rest.Config {
	pipes := &pipes{accepted: make(chan net.Conn), ended: ctx.Done()}
	server := &http.Server{ //nolint:gosec // its clients are the test's own
		Handler:  s,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() {
		_ = server.Serve(pipes) // it ends with ctx
		_ = server.Close()
	}()
	return &rest.Config{
		Host:  "http://" + s.Name,
		QPS:   -1,
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if err := s.connect(ctx); err != nil {
				return nil, err
			}
			return pipes.dial(ctx)
		},
	}
}

// ServeHTTP implements http.Handler: it answers as RoundTrip does. If RoundTrip fails,
// the connection ends.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := s.RoundTrip(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = answer.Body.Close() }()
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	if answer.ContentLength >= 0 {
		_, _ = io.Copy(w, answer.Body) // an error means that the client has gone
		return
	}
	out := http.NewResponseController(w)
	buffer := make([]byte, 32<<10)
	for {
		if err := out.Flush(); err != nil {
			panic(http.ErrAbortHandler)
		}
		n, err := answer.Body.Read(buffer)
		if _, err := w.Write(buffer[:n]); err != nil {
			panic(http.ErrAbortHandler)
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// pipes is a net.Listener of connections in memory.
type pipes struct {
	accepted chan net.Conn
	ended    <-chan struct{}
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accepted <- server:
		return client, nil
	case <-p.ended:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error { return nil }

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "pipe"} }
