// Package nodes makes the nodes of a sandbox's cluster answer at their node ports.
//
// kwok's nodes have no kube-proxy and its pods run nothing: this package plays both.
// In come the Nodes, Services and EndpointSlices of a cluster, by watches; out come
// HTTP servers on loopback addresses, as [Loopback] maps them, that answer with who
// they are (an [Answer]).
//
// As with kube-proxy, a connection is led to one of the Service's ready pods in
// turn and stays with it, and a node refuses connections where no pod is ready (with
// externalTrafficPolicy Local: none on that node). While the API server is away, what
// it said last goes on. A pod ends as a well-behaved one does: requests under way
// finish, and then its connections are closed. Only TCP ports answer, and HTTP/1.1
// without TLS is all that they speak.
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

// Config says whose nodes are played.
type Config struct {
	Cluster  string
	Loopback *Loopback
	Log      io.Writer // told what goes wrong; it is tried again
}

// Nodes are the nodes of one cluster. Its methods may be called at the same time.
type Nodes struct {
	config Config
	log    *slog.Logger
	pods   *http.Server // answers for all pods
	queue  queue        // of connections, for pods
	work   sync.WaitGroup

	mu     sync.Mutex // protects what follows, and what is in it
	now    table      // what was known last
	killed bool
	closed bool
	ports  map[netip.AddrPort]*port // where nodes listen, by the nodes' addresses
	conns  map[*conn]bool           // those that are open
	again  *time.Timer              // the next try to listen, where one failed
}

// retryAfter is soon, since what holds a port is most often its last user.
const retryAfter = 50 * time.Millisecond

// New returns nodes that answer nothing until they follow a cluster.
func New(config Config) *Nodes {
	n := &Nodes{
		config: config,
		log:    slog.New(slog.NewTextHandler(config.Log, nil)).With("cluster", config.Cluster),
		queue:  newQueue(),
		ports:  map[netip.AddrPort]*port{},
		conns:  map[*conn]bool{},
	}
	n.pods = n.server()
	n.work.Go(func() { _ = n.pods.Serve(n.queue) }) // ends only by Close
	return n
}

// Kill ends the nodes: they refuse connections, and those that are open break at
// once. The API server does not hear of it.
func (n *Nodes) Kill() { n.setKilled(true) }

// Revive has killed nodes answer again.
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

// Close ends the nodes for good.
func (n *Nodes) Close() {
	n.mu.Lock()
	n.closed = true
	n.settle()
	n.mu.Unlock()
	_ = n.pods.Close()
	n.work.Wait()
}

// set takes what is known now.
func (n *Nodes) set(k known) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = k.table()
	n.settle()
}

// wanted is what the nodes are to answer. n.mu is held.
func (n *Nodes) wanted() table {
	if n.killed || n.closed {
		return table{}
	}
	return n.now
}

// settle brings listeners and connections to what they are to be. n.mu is held.
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
			c.leaving = true
			c.leave()
		}
	}
	n.listen(want)
}

// port is where one node listens.
type port struct {
	at       netip.AddrPort // of the node
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
	if n.again != nil {
		n.again.Stop()
		n.again = nil
	}
	if failed != nil {
		n.log.Warn("listening again soon", "error", failed)
		n.again = time.AfterFunc(retryAfter, n.tryAgain)
	}
}

func (n *Nodes) tryAgain() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settle()
}

// accept leads connections to pods until the port is closed.
func (n *Nodes) accept(p *port) {
	for {
		accepted, err := p.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			n.log.Warn("accepting again soon", "error", err)
			<-time.After(retryAfter) // too many files are open
			continue
		}
		if c := n.lead(p, accepted); c == nil || !n.queue.put(c) {
			reset(accepted)
		}
	}
}

// lead chooses the pod that is to have a connection. It returns nil if there is none
// any more.
func (n *Nodes) lead(p *port, accepted *net.TCPConn) *conn {
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
