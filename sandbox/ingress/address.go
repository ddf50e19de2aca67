package ingress

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"sync"
)

// Addresses gives load balancers their addresses, for all clusters of a sandbox.
// It stands where Compute Engine would be asked, and asks nobody: every name of
// a static address is as good as reserved.
type Addresses struct {
	mu       sync.Mutex // protects what follows
	byOwner  map[string]netip.Addr
	occupied map[netip.Addr]bool
}

// NewAddresses returns an allocator that has given nothing yet.
func NewAddresses() *Addresses {
	return &Addresses{byOwner: map[string]netip.Addr{}, occupied: map[netip.Addr]bool{}}
}

// The ranges are reserved for documentation and for benchmarks: they are routed
// nowhere. What has a name of its own looks different from what was made up.
var (
	staticRange    = netip.MustParsePrefix("203.0.113.0/24")
	ephemeralRange = netip.MustParsePrefix("198.18.0.0/15")
)

// Static returns the address that is reserved under name, the same in every
// cluster, and in every sandbox unless two names fall together.
func (a *Addresses) Static(name string) (netip.Addr, error) {
	return a.take(staticRange, "static "+name)
}

// Ephemeral returns the address of one Ingress in one cluster.
func (a *Addresses) Ephemeral(cluster, ingress string) (netip.Addr, error) {
	return a.take(ephemeralRange, "ephemeral "+cluster+" "+ingress)
}

// Release gives the address of an Ingress that is gone back. Static ones stay
// with their names.
func (a *Addresses) Release(cluster, ingress string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	owner := "ephemeral " + cluster + " " + ingress
	delete(a.occupied, a.byOwner[owner])
	delete(a.byOwner, owner)
}

// take starts at the place in the range that the owner's hash says, and takes
// the first free address from there.
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
	return netip.Addr{}, fmt.Errorf("give %s an address: all of %s are taken", owner, of)
}

func offset(p netip.Prefix, n uint32) netip.Addr {
	b := p.Masked().Addr().As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += n
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
