package apply

import (
	"slices"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Node ports of our own Services that change hands. No two Services can hold one
// port at a time, so who gives a port up goes before who takes it. Where ports go
// round in a circle one Service moves to free ports until the others are through.
// All of that follows from the ports that the Services show and those that they
// are to have: there is no step to remember.

// portHolders returns the Services of ours that hold each node port.
func (t *table) portHolders() map[object.Port][]*row {
	out := map[object.Port][]*row{}
	for _, r := range t.sorted() {
		if r.live == nil || r.ref.GroupKind() != object.ServiceKind {
			continue
		}
		for _, port := range r.live.Ports {
			out[port] = append(out[port], r)
		}
	}
	return out
}

// waitsFor returns a Service that has a node port which r is to take over and
// which that Service gives up; nil if there is none.
func (x *reckoning) waitsFor(r *row) *row {
	if r.ref.GroupKind() != object.ServiceKind {
		return nil
	}
	for _, port := range r.want.NodePorts() {
		if r.live != nil && slices.Contains(r.live.Ports, port) {
			continue
		}
		for _, other := range x.ports[port] {
			switch {
			case other == r:
				continue
			case other.want != nil && (other.settled() || other.last.err != nil || slices.Contains(other.want.NodePorts(), port)):
				continue // it does not give the port up: the API server says so
			}
			if other.want == nil {
				if name, ok := x.ownerOf(other); !ok || !x.prunes(x.app(name)) || !x.mayLeave(x.app(name), other) {
					continue // it stays: the API server says whose the port is
				}
			}
			return other
		}
	}
	return nil
}

// inCircle reports whether r waits for itself, and is the one of its circle that
// makes room.
func (x *reckoning) inCircle(r *row) bool {
	first := r.ref
	at := x.waitsFor(r)
	for range x.rows {
		if at == nil || at.want == nil {
			return false
		}
		if at == r {
			return first == r.ref
		}
		if at.ref.Compare(first) < 0 {
			first = at.ref
		}
		at = x.waitsFor(at)
	}
	return false
}

// usedPorts are the node ports that Services of ours hold or are to have.
func (t *table) usedPorts() map[int32]bool {
	used := map[int32]bool{}
	for _, r := range t.rows {
		if r.ref.GroupKind() != object.ServiceKind {
			continue
		}
		if r.live != nil {
			for _, port := range r.live.Ports {
				used[port.Number] = true
			}
		}
		if r.want != nil {
			for _, port := range r.want.NodePorts() {
				used[port.Number] = true
			}
		}
	}
	return used
}

// heldByOthers are the node ports that other Services of ours hold.
func (t *table) heldByOthers(ref federation.ObjectRef) map[object.Port]bool {
	held := map[object.Port]bool{}
	for port, rows := range t.portHolders() {
		for _, r := range rows {
			held[port] = held[port] || r.ref != ref
		}
	}
	return held
}
