package gate

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// The limits on connections without settings.
const (
	// DefaultConnections is how many may be open in total. One costs about 20 KB here,
	// and at most two socketBuffers in the kernel.
	DefaultConnections = 1024
	// DefaultConnectionsPerAddress is how many one address may have open: more than a
	// browser, a scraper and a prober together, and few enough that one address cannot
	// take all.
	DefaultConnectionsPerAddress = 256
)

// socketBuffer is how much the kernel may buffer for a connection in each direction, in
// bytes. By default the buffer grows to megabytes for a client that does not read, and
// in a container these count as the daemon's memory.
const socketBuffer = 64 << 10

// endings is how many connections may exist for each that may be open. It includes those
// that were closed and whose goroutine has not ended. That usually takes half a second:
// net/http gives a refused client that long to read the reason.
const endings = 4

// maxUnread is how many connections may exist that the server has not begun to read.
// When processors are busy, the gate accepts no more than the server can read. Otherwise
// it would only close connections that were never read in favour of newer ones.
const maxUnread = 64

// Limits bound what clients take of the server. Zero means the default.
type Limits struct {
	Connections           int // open in total
	ConnectionsPerAddress int // open from one IPv4 address, or from one /64 of IPv6
}

func (l Limits) withDefaults() Limits {
	if l.Connections <= 0 {
		l.Connections = DefaultConnections
	}
	if l.ConnectionsPerAddress <= 0 {
		l.ConnectionsPerAddress = DefaultConnectionsPerAddress
	}
	return l
}

// Counts count connections.
type Counts interface {
	// Connections sets how many are open.
	Connections(open int)
	// ShedOfAddress counts one that was closed for a newer one from the same address.
	ShedOfAddress()
	// ShedOfAll counts one that was closed for a newer one from any address.
	ShedOfAll()
}

// uncounted counts nothing.
type uncounted struct{}

func (uncounted) Connections(int) {}
func (uncounted) ShedOfAddress()  {}
func (uncounted) ShedOfAll()      {}

// A gate is a listener that accepts every client and bounds how many are connected. If
// there is one too many, it closes the connection that has been quiet the longest.
//
// Refusing the newest would be simpler, but a thousand idle strangers could then lock out
// the prober of /healthz, and the daemon would be killed. Preferring one kind, such as
// those waiting between two requests, fails when all strangers are of another kind. With
// the longest quiet, a client that asks and leaves is never closed: it is served in
// milliseconds, and a thousand others would have to come in that time.
type gate struct {
	net.Listener
	limits Limits
	counts Counts
	// room has a place for each connection whose goroutine has not ended, and unread
	// for each that the server has not begun to read.
	room, unread chan struct{}

	closed chan struct{}
	once   sync.Once // closes closed

	mu    sync.Mutex           // protects what follows, and each visitor's place
	quiet list.List            // of *visitor: the open ones, the longest quiet first
	from  map[netip.Prefix]int // how many of them come from each address
}

func newGate(l net.Listener, limits Limits, counts Counts) *gate {
	limits = limits.withDefaults()
	return &gate{
		Listener: l, limits: limits, counts: counts,
		room:   make(chan struct{}, endings*limits.Connections),
		unread: make(chan struct{}, maxUnread),
		closed: make(chan struct{}),
		from:   map[netip.Prefix]int{},
	}
}

// visitor is an accepted connection.
type visitor struct {
	net.Conn
	gate    *gate
	read    atomic.Bool // the server has begun to read it
	address netip.Prefix
	place   *list.Element // in quiet; nil after it was closed
}

// Read implements net.Conn.
func (v *visitor) Read(b []byte) (int, error) {
	v.markRead()
	return v.Conn.Read(b)
}

func (v *visitor) markRead() {
	if !v.read.Swap(true) {
		<-v.gate.unread
	}
}

// CloseWrite allows the server to end an answer before it ends the connection.
func (v *visitor) CloseWrite() error {
	if half, ok := v.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for _, place := range []chan struct{}{g.room, g.unread} {
		select {
		case place <- struct{}{}:
		case <-g.closed:
			return nil, net.ErrClosed
		}
	}
	conn, err := g.Listener.Accept()
	if err != nil {
		<-g.room
		<-g.unread
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// An error means that the connection is closed already.
		_ = tcp.SetReadBuffer(socketBuffer)
		_ = tcp.SetWriteBuffer(socketBuffer)
	}
	v := &visitor{Conn: conn, gate: g, address: addressOf(conn)}
	if quiet := g.enter(v); quiet != nil {
		abort(quiet.Conn)
	}
	return v, nil
}

// Close implements net.Listener.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// enter adds a visitor, and returns the one to close for it; nil for none.
func (g *gate) enter(v *visitor) (quiet *visitor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.place = g.quiet.PushBack(v)
	g.from[v.address]++
	switch {
	case g.from[v.address] > g.limits.ConnectionsPerAddress:
		quiet = g.longestQuiet(v.address)
		g.counts.ShedOfAddress()
	case g.quiet.Len() > g.limits.Connections:
		quiet = g.quiet.Front().Value.(*visitor)
		g.counts.ShedOfAll()
	}
	if quiet != nil {
		g.remove(quiet)
	}
	g.counts.Connections(g.quiet.Len())
	return quiet
}

func (g *gate) longestQuiet(address netip.Prefix) *visitor {
	for e := g.quiet.Front(); ; e = e.Next() {
		if v := e.Value.(*visitor); v.address == address {
			return v // there is one, since from counts them
		}
	}
}

// remove removes a visitor. It is idempotent. g.mu is held.
func (g *gate) remove(v *visitor) {
	if v.place == nil {
		return
	}
	g.quiet.Remove(v.place)
	v.place = nil
	if g.from[v.address]--; g.from[v.address] == 0 {
		delete(g.from, v.address)
	}
}

// follow is the server's ConnState hook.
func (g *gate) follow(conn net.Conn, state http.ConnState) {
	v := conn.(*visitor) // Accept returns no others
	g.mu.Lock()
	defer g.mu.Unlock()
	switch state {
	case http.StateActive, http.StateIdle: // a request has come, or was answered
		if v.place != nil {
			g.quiet.MoveToBack(v.place)
		}
	case http.StateClosed, http.StateHijacked:
		g.remove(v)
		g.counts.Connections(g.quiet.Len())
		<-g.room
		v.markRead()
	case http.StateNew:
	}
}

// abort closes a connection and drops the data that the kernel has still to send. For a
// client that does not read, the kernel would hold it for minutes.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// addressOf returns the address that a connection counts for. For IPv6 it is the /64
// network, since a client that has one address has all of them.
func addressOf(conn net.Conn) netip.Prefix {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{} // not TCP: all count as one
	}
	address := peer.Addr().Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // cannot happen: an address has that many bits
	}
	return prefix
}
