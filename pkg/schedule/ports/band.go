package ports

import (
	"hash/fnv"
	"iter"
	"strconv"

	"github.com/fedsync/fedsync/pkg/federation"
)

// band splits a range of node ports as every API server does. An API server allocates
// ports from the static band, at the bottom, only when the rest of the range is full. So
// a port that is chosen there stays free until it reaches the last cluster.
type band struct {
	federation.PortRange
	size int32 // of the band; 0 if the range is too small for one
}

func newBand(r federation.PortRange) band {
	const least, most, part = 16, 128, 32
	b := band{PortRange: r}
	if size := b.ports(); size > least {
		b.size = min(max(least, size/part), most)
	}
	return b
}

// ports returns the number of ports in the range.
func (b band) ports() int32 { return b.Last - b.First + 1 }

func (b band) contains(port int32) bool { return b.First <= port && port <= b.Last }

// overflows reports whether there is a band and a port is above it.
func (b band) overflows(port int32) bool { return b.size > 0 && port >= b.First+b.size }

// static returns the band as a range, or the whole range if there is no band.
func (b band) static() federation.PortRange {
	if b.size == 0 {
		return b.PortRange
	}
	return federation.PortRange{First: b.First, Last: b.First + b.size - 1}
}

// candidates yields every port of the range that is not in taken: first the band, upwards
// from where the hash points and wrapping around, then the ports above it in the same
// way. The order is part of the interface: another order would choose other ports for
// existing repositories. A run of taken ports costs one step for 64 of them.
func (b band) candidates(hash uint64, taken set) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		_ = around(b.First, b.size, hash, taken, yield) &&
			around(b.First+b.size, b.ports()-b.size, hash, taken, yield)
	}
}

// position returns the index of a port of the range among the candidates.
func (b band) position(hash uint64, port int32) int32 {
	first, size, before := b.First, b.size, int32(0)
	if port >= first+size {
		first, size, before = first+size, b.ports()-size, size
	}
	start := int32(hash % uint64(size))
	return before + (port-first-start+size)%size
}

// around yields those of the size ports from first on that are not in taken, beginning
// where the hash points. It reports whether yield wants more.
func around(first, size int32, hash uint64, taken set, yield func(int32) bool) bool {
	if size <= 0 {
		return true
	}
	start := first + int32(hash%uint64(size))
	for _, part := range [][2]int32{{start, first + size}, {first, start}} {
		for port := taken.gap(part[0], part[1]); port < part[1]; port = taken.gap(port+1, part[1]) {
			if !yield(port) {
				return false
			}
		}
	}
	return true
}

// portHash is FNV-1a, 64 bits, of NAMESPACE/NAME/PORT/PROTOCOL.
func portHash(service federation.ObjectRef, port int32, protocol string) uint64 {
	key := make([]byte, 0, 128)
	key = append(key, service.Namespace...)
	key = append(key, '/')
	key = append(key, service.Name...)
	key = append(key, '/')
	key = strconv.AppendInt(key, int64(port), 10)
	key = append(key, '/')
	key = append(key, protocol...)
	h := fnv.New64a()
	h.Write(key)
	return h.Sum64()
}
