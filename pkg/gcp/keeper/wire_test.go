package keeper

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

// wire carries the calls of a client to the stand-in within the process, so that both can
// run in a synctest bubble. It counts the calls, and can break the connection.
type wire struct {
	handler http.Handler

	// broken, if not nil, is called when the stand-in breaks a connection.
	broken func()

	mu       sync.Mutex // protects what follows
	count    int
	mutation time.Time // when the last one was made
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.count++
	if isMutation(r) {
		w.mutation = time.Now()
	}
	w.mu.Unlock()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	done := make(chan *http.Response, 1)
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // it is what was given to panic
				panic(p)
			}
		}()
		answer := httptest.NewRecorder()
		w.handler.ServeHTTP(answer, r)
		done <- answer.Result()
	}()
	select {
	case answer, ok := <-done:
		if ok {
			answer.Request = r
			return answer, nil
		}
		if w.broken != nil {
			w.broken()
		}
		return nil, io.ErrUnexpectedEOF
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// isMutation reports whether a call starts an operation.
func isMutation(r *http.Request) bool { return r.URL.Query().Get("requestId") != "" }

// quiet returns the time since the last mutation.
func (w *wire) quiet() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.mutation)
}

func (w *wire) calls() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// nodeNet answers at the nodes' addresses, except those that are dead.
type nodeNet struct {
	mu   sync.Mutex
	dead map[string]bool // addresses
}

func (n *nodeNet) set(address string, dead bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dead[address] = dead
}

// dial is gcetest's way to a node: it answers every request with 200.
func (n *nodeNet) dial(_ context.Context, address string, _ int) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dead[address] {
		return nil, errors.New("connection refused")
	}
	client, server := net.Pipe()
	go func() {
		defer server.Close() //nolint:errcheck // a pipe
		if _, err := http.ReadRequest(bufio.NewReader(server)); err != nil {
			return
		}
		_, _ = io.WriteString(server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	}()
	return client, nil
}

// operationTimes are similar to those of Compute Engine.
func operationTimes(method string) time.Duration {
	collection, verb, _ := strings.Cut(method, ".")
	switch {
	case collection == "globalForwardingRules" && verb != "setLabels":
		return 10 * time.Second
	case collection == "backendServices":
		return 5 * time.Second
	case collection == "networkEndpointGroups" && strings.HasSuffix(verb, "NetworkEndpoints"):
		return 4 * time.Second
	case collection == "globalAddresses":
		return 2 * time.Second
	}
	return 3 * time.Second
}

// instanceOf returns a machine for the stand-in.
func instanceOf(m gcp.Machine) gcetest.Instance {
	return gcetest.Instance{
		Project: m.Project, Zone: m.Zone, Name: m.Name, Network: m.Network, Subnetwork: m.Subnetwork,
		Address: m.Address, Tags: m.Tags,
	}
}
