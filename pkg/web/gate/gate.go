package gate

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
)

// The limits on connections where the settings give none.
const (
	// DefaultConnections is how many may be open in all. One costs about 20 KB here,
	// and at most socketBuffer twice over in the kernel.
	DefaultConnections = 1024
	// DefaultConnectionsPerAddress is how many one address may have open: more than a
	// browser, a scraper and a prober together, and few enough that an address alone
	// cannot have all.
	DefaultConnectionsPerAddress = 256
)

// socketBuffer is what the kernel may keep for a connection in each direction, in
// bytes. By itself it grows to megabytes for a client that does not read, which in a
// container count as the daemon's.
const socketBuffer = 64 << 10

// endings is how many connections there may be for each that may be open, with those
// that were closed and whose goroutine has not come to its end. Half a second is
// usual: net/http gives a client that is refused that long to read why.
const endings = 4

// maxUnheard is how many connections there may be that the server has not begun to
// read. Where processors are short it takes in no more than it comes to hear, or it
// would be busy with closing those that it never heard for newer ones.
const maxUnheard = 64

// Limits bound what clients take of the server. Zero means the default.
type Limits struct {
	Connections           int // open in all
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

// Counts learn what becomes of connections.
type Counts interface {
	// Connections is told how many are open.
	Connections(open int)
	// ShedOfAddress is told that one was closed for a newer one of the same address.
	ShedOfAddress()
	// ShedOfAll is told that one was closed for a newer one of any address.
	ShedOfAll()
}

// uncounted is for nobody.
type uncounted struct{}

func (uncounted) Connections(int) {}
func (uncounted) ShedOfAddress()  {}
func (uncounted) ShedOfAll()      {}

// A gate is a listener that lets every client in, and bounds how many are inside:
// where one is too many, that one is closed of which nothing came or went for the
// longest.
//
// To refuse the newest would be simpler, and would let a thousand strangers who do
// nothing keep out the prober of /healthz, so that the daemon were killed. To prefer
// some kind, say those that wait between two requests, fails as soon as all strangers
// are of another kind. By age, a client that asks and goes is never the one to go:
// it is served in milliseconds, and a thousand others would have to come meanwhile.
type gate struct {
	net.Listener
	limits Limits
	counts Counts
	// room has a place for each connection whose goroutine has not ended, and unheard
	// for each that it has not begun to read.
	room, unheard chan struct{}

	closed chan struct{}
	once   sync.Once // closes closed

	mu    sync.Mutex           // protects what follows, and each visitor's place
	quiet list.List            // of *visitor: those that are open, the longest quiet first
	from  map[netip.Prefix]int // how many of them come from an address
}

func newGate(l net.Listener, limits Limits, counts Counts) *gate {
	limits = limits.withDefaults()
	return &gate{
		Listener: l, limits: limits, counts: counts,
		room:    make(chan struct{}, endings*limits.Connections),
		unheard: make(chan struct{}, maxUnheard),
		closed:  make(chan struct{}),
		from:    map[netip.Prefix]int{},
	}
}

// visitor is a connection that was let in.
type visitor struct {
	net.Conn
	gate    *gate
	heard   atomic.Bool
	address netip.Prefix
	place   *list.Element // among the quiet; nil once it was closed
}

// Read implements net.Conn.
func (v *visitor) Read(b []byte) (int, error) {
	v.hear()
	return v.Conn.Read(b)
}

func (v *visitor) hear() {
	if !v.heard.Swap(true) {
		<-v.gate.unheard
	}
}

// CloseWrite lets the server end an answer before it ends the connection.
func (v *visitor) CloseWrite() error {
	if half, ok := v.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for _, place := range []chan struct{}{g.room, g.unheard} {
		select {
		case place <- struct{}{}:
		case <-g.closed:
			return nil, net.ErrClosed
		}
	}
	conn, err := g.Listener.Accept()
	if err != nil {
		<-g.room
		<-g.unheard
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// What cannot be set of a connection is of one that is closed already.
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

// enter lets a visitor in, and returns the one that has to go for it; nil for none.
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
			return v // there is one: it was counted
		}
	}
}

// remove is idempotent; g.mu is held.
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

// follow is told by the server what becomes of a connection.
func (g *gate) follow(conn net.Conn, state http.ConnState) {
	v := conn.(*visitor) // Accept gives no others
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
		v.hear()
	case http.StateNew:
	}
}

// abort closes a connection and drops what the kernel has of it still to send, which
// a client that does not read would have it keep for minutes.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// addressOf is whom a connection is counted for. Whoever has one address of IPv6 has
// a network of them.
func addressOf(conn net.Conn) netip.Prefix {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{} // no TCP: all are one
	}
	address := peer.Addr().Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // an address has that many bits
	}
	return prefix
}
