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

// Answer is a pod's answer to a request.
type Answer struct {
	Cluster   string `json:"cluster"`
	Node      string `json:"node"` // the node that accepted the connection
	Pod       string `json:"pod"`
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	Path      string `json:"path"`
}

// conn is a connection that a node has forwarded to a pod.
type conn struct {
	*net.TCPConn
	nodes *Nodes
	node  netip.Addr
	route route
	pod   podID

	// nodes.mu protects what follows.
	state    http.ConnState
	draining bool // the pod is no longer ready
}

// Close closes the connection.
func (c *conn) Close() error {
	c.nodes.mu.Lock()
	defer c.nodes.mu.Unlock()
	delete(c.nodes.conns, c)
	return c.TCPConn.Close()
}

// closeIfDrained closes a draining connection, unless a request is under way or the
// first one has not come yet. nodes.mu is held.
func (c *conn) closeIfDrained() {
	if c.draining && c.state == http.StateIdle {
		delete(c.nodes.conns, c)
		_ = c.TCPConn.Close()
	}
}

// reset breaks a connection, so that the other side notices at once.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// server returns the server for all pods. One server per pod would not help:
// http.Server.Shutdown drops a request that has arrived but was not read yet.
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
				c.closeIfDrained()
			}
		},
	}
}

// connKey is the key of the *conn in a request's context.
type connKey struct{}

func (n *Nodes) serve(w http.ResponseWriter, r *http.Request) {
	// A request is under way until its whole body has come.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		panic("nodes: a request without a connection")
	}
	n.mu.Lock()
	draining := c.draining
	n.mu.Unlock()
	h := w.Header()
	if draining {
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
	conns chan net.Conn // without capacity, so that no connection is left in it at the end
	done  chan struct{} // closed when the queue takes no more connections
	close func()        // closes done; may be called again
}

func newQueue() queue {
	done := make(chan struct{})
	return queue{conns: make(chan net.Conn), done: done, close: sync.OnceFunc(func() { close(done) })}
}

// put queues a connection and reports whether the queue took it.
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

// Close makes the queue take no more connections.
func (q queue) Close() error {
	q.close()
	return nil
}

// Addr returns an empty address: only the nodes have addresses.
func (q queue) Addr() net.Addr { return &net.TCPAddr{} }
