package nodes

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Answer is what a pod says of a request.
type Answer struct {
	Cluster   string `json:"cluster"`
	Node      string `json:"node"` // the one whose port was asked
	Pod       string `json:"pod"`
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	Path      string `json:"path"`
}

// conn is a connection that a node has led to a pod.
type conn struct {
	*net.TCPConn
	nodes *Nodes
	node  netip.Addr
	route route
	pod   podID

	// nodes.mu protects what follows.
	state   http.ConnState
	leaving bool // the pod is not ready any more
}

// Close closes the connection.
func (c *conn) Close() error {
	c.nodes.mu.Lock()
	defer c.nodes.mu.Unlock()
	delete(c.nodes.conns, c)
	return c.TCPConn.Close()
}

// leave closes the connection of a pod that leaves, unless a request is under way or
// the first one is still to come. nodes.mu is held.
func (c *conn) leave() {
	if c.leaving && c.state == http.StateIdle {
		delete(c.nodes.conns, c)
		_ = c.TCPConn.Close()
	}
}

// reset breaks a connection, so that the other side hears of it at once.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// server answers for all pods. http.Server.Shutdown would be of no use to one of
// them: it drops a request that has come and was not read yet.
func (n *Nodes) server() *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(n.serve),
		ReadHeaderTimeout: 10 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ConnState: func(of net.Conn, state http.ConnState) {
			if c, ok := of.(*conn); ok {
				n.mu.Lock()
				defer n.mu.Unlock()
				c.state = state
				c.leave()
			}
		},
	}
}

// connKey is under which a request's context holds its *conn.
type connKey struct{}

func (n *Nodes) serve(w http.ResponseWriter, r *http.Request) {
	// Who sends a body slowly has a request under way for as long.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		panic("nodes: a request without a connection")
	}
	n.mu.Lock()
	leaving := c.leaving
	n.mu.Unlock()
	h := w.Header()
	if leaving {
		h.Set("Connection", "close")
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Cluster", n.config.Cluster)
	h.Set("X-Node", c.route.node)
	h.Set("X-Pod", c.pod.name)
	_ = json.NewEncoder(w).Encode(Answer{ // fails when the client is gone
		Cluster:   n.config.Cluster,
		Node:      c.route.node,
		Pod:       c.pod.name,
		Namespace: c.pod.namespace,
		Service:   c.route.service.Name,
		Path:      r.URL.Path,
	})
}

// queue is a net.Listener of connections that were accepted elsewhere.
type queue struct {
	conns chan net.Conn // without capacity: nobody has to empty it at the end
	done  chan struct{} // closed when no more are taken
	close func()        // closes done, once
}

func newQueue() queue {
	done := make(chan struct{})
	return queue{conns: make(chan net.Conn), done: done, close: sync.OnceFunc(func() { close(done) })}
}

// put reports whether the connection is taken.
func (q queue) put(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.done:
		return false
	}
}

// Accept returns the next connection.
func (q queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close has no more connections taken.
func (q queue) Close() error {
	q.close()
	return nil
}

// Addr is of no use: it is the nodes that have addresses.
func (q queue) Addr() net.Addr { return &net.TCPAddr{} }
