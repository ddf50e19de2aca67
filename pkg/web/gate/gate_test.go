package gate

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

// street is a listener for clients of any address.
type street struct {
	next   net.Addr
	closed chan struct{}
}

func (s *street) Close() error   { close(s.closed); return nil }
func (s *street) Addr() net.Addr { return &net.TCPAddr{} }

// caller is the server's end of a pipe, with the client's address.
type caller struct {
	net.Conn

	from   net.Addr
	closed bool
}

func (c *caller) RemoteAddr() net.Addr { return c.from }
func (c *caller) Close() error         { c.closed = true; return c.Conn.Close() }

func (s *street) Accept() (net.Conn, error) {
	_, server := net.Pipe()
	return &caller{Conn: server, from: s.next}, nil
}

// doors is a gate with its visitors.
type doors struct {
	*gate

	t      *testing.T
	street *street
	told   *told
}

// told records calls of Counts.
type told struct{ open, ofAddress, ofAll int }

func (c *told) Connections(open int) { c.open = open }
func (c *told) ShedOfAddress()       { c.ofAddress++ }
func (c *told) ShedOfAll()           { c.ofAll++ }

func newDoors(t *testing.T, limits Limits) *doors {
	s, c := &street{closed: make(chan struct{})}, &told{}
	return &doors{newGate(s, limits, c), t, s, c}
}

func (d *doors) call(from string) *visitor {
	d.t.Helper()
	d.street.next = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))
	conn, err := d.Accept()
	if err != nil {
		d.t.Fatal(err)
	}
	v := conn.(*visitor)
	v.markRead()
	return v
}

func shut(v *visitor) bool { return v.Conn.(*caller).closed }

func TestAnAddressTakesNothingFromOthers(t *testing.T) {
	d := newDoors(t, Limits{Connections: 100, ConnectionsPerAddress: 3})
	honest := d.call("192.0.2.1:1000")
	var strangers []*visitor
	for i := range 20 {
		strangers = append(strangers, d.call(fmt.Sprintf("192.0.2.2:%d", 2000+i)))
	}
	if shut(honest) {
		t.Error("the first client was closed for a crowd from another address")
	}
	for i, s := range strangers {
		if want := i < 17; shut(s) != want {
			t.Errorf("stranger %d of 20 is closed: %t, want the newest three open", i, shut(s))
		}
	}
	if want := (told{open: 4, ofAddress: 17}); *d.told != want {
		t.Errorf("counted are %+v, want %+v", *d.told, want)
	}
}

func TestAnAddressOfIPv6IsItsNetwork(t *testing.T) {
	d := newDoors(t, Limits{ConnectionsPerAddress: 1})
	for _, c := range []struct {
		first, second string
		closes        bool
	}{
		{"[2001:db8:1:1::1]:1", "[2001:db8:1:1:2::2]:1", true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		{"[::ffff:192.0.2.1]:1", "192.0.2.1:1", true},
		{"[::ffff:192.0.2.2]:1", "[::ffff:192.0.2.3]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::2%eth0]:1", true},
	} {
		first := d.call(c.first)
		d.call(c.second)
		if shut(first) != c.closes {
			t.Errorf("%s is closed for %s: %t, want %t", c.first, c.second, shut(first), c.closes)
		}
	}
}

func TestTheLongestQuietGoesFirst(t *testing.T) {
	d := newDoors(t, Limits{Connections: 3})
	a, b, c := d.call("192.0.2.1:1"), d.call("192.0.2.2:1"), d.call("192.0.2.3:1")
	d.follow(a, http.StateActive)
	d.follow(b, http.StateActive)
	d.follow(a, http.StateIdle)
	for i, want := range [][3]bool{{false, false, true}, {false, true, true}, {true, true, true}} {
		d.call(fmt.Sprintf("192.0.2.%d:1", 10+i))
		if got := [3]bool{shut(a), shut(b), shut(c)}; got != want {
			t.Errorf("after %d more, closed are %v, want %v", i+1, got, want)
		}
	}
}

// Whatever clients do in whatever order, the limits hold, and nothing remains of clients
// that have left.
func TestTheGateCountsOpenConnections(t *testing.T) {
	limits := Limits{Connections: 20, ConnectionsPerAddress: 5}
	d := newDoors(t, limits)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	var inside []*visitor // whose goroutine has not ended
	for range 5000 {
		if len(inside) < endings*limits.Connections && random.IntN(2) == 0 {
			inside = append(inside, d.call(fmt.Sprintf("192.0.2.%d:1", random.IntN(8))))
		} else if len(inside) > 0 {
			i := random.IntN(len(inside))
			state := []http.ConnState{http.StateActive, http.StateIdle, http.StateClosed}[random.IntN(3)]
			d.follow(inside[i], state)
			if state == http.StateClosed {
				inside = append(inside[:i], inside[i+1:]...)
			}
		}
		open, from := 0, map[netip.Prefix]int{}
		for _, v := range inside {
			if !shut(v) {
				open++
				from[v.address]++
			}
		}
		if open > limits.Connections || open != d.quiet.Len() || len(from) != len(d.from) || len(d.room) != len(inside) {
			t.Fatalf("seed %d: %d open, the gate counts %d; %v, it counts %v", seed, open, d.quiet.Len(), from, d.from)
		}
		for address, n := range from {
			if n > limits.ConnectionsPerAddress || n != d.from[address] {
				t.Fatalf("seed %d: %d open from %s, the gate counts %d", seed, n, address, d.from[address])
			}
		}
	}
}

func TestTheGateAcceptsNobodyWhileTooManyConnectionsAreEnding(t *testing.T) {
	d := newDoors(t, Limits{Connections: 1})
	var all []*visitor
	for i := range endings {
		all = append(all, d.call(fmt.Sprintf("192.0.2.%d:1", i)))
	}
	let := make(chan error, 1) // one result, which is read at the end
	go func() { _, err := d.Accept(); let <- err }()
	select {
	case err := <-let:
		t.Fatalf("another was accepted, %v", err)
	default:
	}
	d.follow(all[0], http.StateClosed)
	if err := <-let; err != nil {
		t.Errorf("after one ended: %v", err)
	}
	// A server that shuts down does not wait for them.
	go func() { _, err := d.Accept(); let <- err }()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-let; err == nil {
		t.Error("a closed gate accepts a connection")
	}
}
