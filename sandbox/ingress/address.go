package ingress

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"sync"
)

// Addresses allocates the addresses of load balancers, for all clusters of a sandbox. It
// replaces Compute Engine and does not call it: every name of a static address counts as
// reserved.
type Addresses struct {
	mu       sync.Mutex // protects what follows
	byOwner  map[string]netip.Addr
	occupied map[netip.Addr]bool
}

// NewAddresses returns an allocator without allocated addresses.
func NewAddresses() *Addresses {
	return &Addresses{byOwner: map[string]netip.Addr{}, occupied: map[netip.Addr]bool{}}
}

// The ranges are reserved for documentation and for benchmarks, so they are not routed.
// There are two, so that static and ephemeral addresses are easy to tell apart.
var (
	staticRange    = netip.MustParsePrefix("203.0.113.0/24")
	ephemeralRange = netip.MustParsePrefix("198.18.0.0/15")
)

// Static returns the address with the given name. It is the same in every cluster, and
// in every sandbox unless the hashes of two names collide.
func (a *Addresses) Static(name string) (netip.Addr, error) {
	return a.take(staticRange, "static "+name)
}

// Ephemeral returns the address of one Ingress in one cluster.
func (a *Addresses) Ephemeral(cluster, ingress string) (netip.Addr, error) {
	return a.take(ephemeralRange, "ephemeral "+cluster+" "+ingress)
}

// Release releases the ephemeral address of a deleted Ingress. Static addresses are
// never released.
func (a *Addresses) Release(cluster, ingress string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	owner := "ephemeral " + cluster + " " + ingress
	delete(a.occupied, a.byOwner[owner])
	delete(a.byOwner, owner)
}

// take allocates the first free address at or after the offset in the range that
// the owner's hash determines.
func (a *Addresses) take(of netip.Prefix, owner string) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if addr, ok := a.byOwner[owner]; ok {
		return addr, nil
	}
	size := uint32(1)<<(32-of.Bits()) - 2 // without the network's and the broadcast address
	h := fnv.New32a()
	h.Write([]byte(owner))
	for i := range size {
		addr := offset(of, 1+(h.Sum32()%size+i)%size)
		if !a.occupied[addr] {
			a.occupied[addr], a.byOwner[owner] = true, addr
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("allocate an address for %s: all addresses of %s are in use", owner, of)
}

func offset(p netip.Prefix, n uint32) netip.Addr {
	b := p.Masked().Addr().As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += n
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
