// Package nodes makes the nodes of a sandbox's cluster answer at their node ports.
//
// kwok's nodes have no kube-proxy and its pods run nothing: this package plays both.
// Its input is the Nodes, Services and EndpointSlices of a cluster, from watches. Its
// output is HTTP servers on loopback addresses, mapped by [Loopback], that answer with
// the names of the node and the pod (an [Answer]).
//
// As with kube-proxy, connections go to the Service's ready pods in rotation, and each
// stays with its pod. A node refuses connections if no pod is ready (with
// externalTrafficPolicy Local, if none is ready on that node). While the API server is
// unavailable, the last known state remains. A pod ends gracefully: requests under way
// finish, and then its connections are closed. Only TCP ports answer, with HTTP/1.1
// without TLS.
package nodes

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Config configures the nodes of a cluster.
type Config struct {
	Cluster  string
	Loopback *Loopback
	Log      io.Writer // receives errors; what failed is tried again
}

// Nodes plays the nodes of one cluster. Its methods may be called concurrently.
type Nodes struct {
	config Config
	log    *slog.Logger
	pods   *http.Server // answers for all pods
	queue  queue        // connections for pods
	work   sync.WaitGroup

	mu     sync.Mutex // protects what follows, and what is in it
	now    table      // the last known state
	killed bool
	closed bool
	ports  map[netip.AddrPort]*port // the open ports, by the nodes' addresses
	conns  map[*conn]bool           // the open connections
	retry  *time.Timer              // the next try to listen; nil unless one failed
}

// retryAfter is short, since a busy port is most often held by its last user.
const retryAfter = 50 * time.Millisecond

// New returns nodes that do not answer until they follow a cluster.
func New(config Config) *Nodes {
	n := &Nodes{
		config: config,
		log:    slog.New(slog.NewTextHandler(config.Log, nil)).With("cluster", config.Cluster),
		queue:  newQueue(),
		ports:  map[netip.AddrPort]*port{},
		conns:  map[*conn]bool{},
	}
	n.pods = n.server()
	n.work.Go(func() { _ = n.pods.Serve(n.queue) }) // returns only after Close
	return n
}

// Kill kills the nodes: they refuse new connections and break the open ones at once.
// The API server is not notified.
func (n *Nodes) Kill() { n.setKilled(true) }

// Revive makes killed nodes answer again.
func (n *Nodes) Revive() { n.setKilled(false) }

// Killed reports whether the nodes are killed.
func (n *Nodes) Killed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.killed
}

func (n *Nodes) setKilled(killed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.killed = killed
	n.settle()
}

// Close ends the nodes. They cannot be used afterwards.
func (n *Nodes) Close() {
	n.mu.Lock()
	n.closed = true
	n.settle()
	n.mu.Unlock()
	_ = n.pods.Close()
	n.work.Wait()
}

// set sets the known state of the cluster.
func (n *Nodes) set(k known) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = k.table()
	n.settle()
}

// wanted returns the table that the nodes should serve. n.mu is held.
func (n *Nodes) wanted() table {
	if n.killed || n.closed {
		return table{}
	}
	return n.now
}

// settle makes listeners and connections match the wanted table. n.mu is held.
func (n *Nodes) settle() {
	want := n.wanted()
	for at, p := range n.ports {
		if _, ok := want.routes[at]; !ok {
			_ = p.listener.Close()
			delete(n.ports, at)
		}
	}
	for c := range n.conns {
		switch {
		case !want.nodes[c.node]:
			delete(n.conns, c)
			reset(c.TCPConn)
		case !want.pods[c.pod]:
			c.draining = true
			c.closeIfDrained()
		}
	}
	n.listen(want)
}

// port is an open port of one node.
type port struct {
	at       netip.AddrPort // the node's own address
	listener *net.TCPListener
	turn     int // counts connections
}

// listen opens the ports that are missing. n.mu is held.
func (n *Nodes) listen(want table) {
	var failed error
	for at := range want.routes {
		host, ok := n.config.Loopback.Of(at.Addr())
		if n.ports[at] != nil || !ok {
			continue
		}
		listener, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(host, at.Port())))
		if err != nil {
			failed = err
			continue
		}
		p := &port{at: at, listener: listener}
		n.ports[at] = p
		n.work.Go(func() { n.accept(p) })
	}
	if n.retry != nil {
		n.retry.Stop()
		n.retry = nil
	}
	if failed != nil {
		n.log.Warn("cannot listen, retrying", "error", failed)
		n.retry = time.AfterFunc(retryAfter, n.settleAgain)
	}
}

func (n *Nodes) settleAgain() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle()
}

// accept forwards connections to pods until the port is closed.
func (n *Nodes) accept(p *port) {
	for {
		accepted, err := p.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			n.log.Warn("cannot accept, retrying", "error", err)
			<-time.After(retryAfter) // too many open files
			continue
		}
		if c := n.assign(p, accepted); c == nil || !n.queue.put(c) {
			reset(accepted)
		}
	}
}

// assign chooses the pod for a connection. It returns nil if no pod is left.
func (n *Nodes) assign(p *port, accepted *net.TCPConn) *conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, ok := n.wanted().routes[p.at]
	if n.ports[p.at] != p || !ok {
		return nil
	}
	p.turn++
	c := &conn{
		TCPConn: accepted,
		nodes:   n,
		node:    p.at.Addr(),
		route:   r,
		pod:     r.pods[p.turn%len(r.pods)],
	}
	n.conns[c] = true
	return c
}
