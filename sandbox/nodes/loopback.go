package nodes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Loopback is a range of loopback addresses that represent the addresses of a sandbox's
// nodes: 127.N.C.I for 10.128.C.I. N is 128, or the next number that no other sandbox
// on this machine uses.
type Loopback struct {
	second byte
	held   net.Listener // keeps other sandboxes from using the range
}

// The addresses of nodes are 10.128.0.0/16.
const (
	nodesFirst, nodesSecond = 10, 128

	loopbackRanges = 64
	// heldPort is below the range of node ports.
	heldPort = 29999
)

// Reserve reserves a range that no other sandbox uses. It fails where the loopback
// interface has only 127.0.0.1, as on macOS.
func Reserve() (*Loopback, error) {
	var last error
	for second := byte(nodesSecond); second < nodesSecond+loopbackRanges; second++ {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, second, 255, 254}), heldPort)
		held, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
		switch {
		case err == nil:
			return &Loopback{second: second, held: held}, nil
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return nil, fmt.Errorf("reserve loopback addresses for nodes: the loopback interface lacks %s; only Linux has all of 127.0.0.0/8: %w", at.Addr(), err)
		}
		last = err
	}
	return nil, fmt.Errorf("reserve loopback addresses for nodes: %w", last)
}

// Close releases the range.
func (l *Loopback) Close() error { return l.held.Close() }

// Of returns the loopback address that represents a node's address, and whether there
// is one.
func (l *Loopback) Of(node netip.Addr) (netip.Addr, bool) {
	if !node.Is4() {
		return netip.Addr{}, false
	}
	b := node.As4()
	if b[0] != nodesFirst || b[1] != nodesSecond {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte{127, l.second, b[2], b[3]}), true
}

// DialContext connects to a node. The address is the node's own and a port; other hosts
// are unreachable.
func (l *Loopback) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	node, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial a node: %w", err)
	}
	host, ok := l.Of(node.Addr())
	if !ok {
		return nil, fmt.Errorf("dial %s: %w", address, syscall.EHOSTUNREACH)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, netip.AddrPortFrom(host, node.Port()).String())
}
