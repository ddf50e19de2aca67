package agenda

import (
	"slices"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/state"
)

// Node ports that change hands between our own Services. Two Services cannot hold one
// port at the same time, so the Service that gives up a port goes before the one that
// takes it. Where Services exchange ports in a circle, one Service moves to free ports
// until the others are done. All of this follows from the ports that the Services have
// and those they should get: there is no step to remember.

// waitsFor returns a Service that has a node port which r takes over and which that
// Service gives up; nil if there is none.
func (x *computation) waitsFor(r *state.Row) *state.Row {
	if r.Ref.GroupKind() != object.ServiceKind {
		return nil
	}
	for _, port := range r.Want.NodePorts() {
		if r.Live != nil && slices.Contains(r.Live.Ports, port) {
			continue
		}
		for _, other := range x.ports[port] {
			switch {
			case other == r:
				continue
			case other.Want != nil && (other.Settled() || other.Last.Err != nil || slices.Contains(other.Want.NodePorts(), port)):
				continue // it does not give up the port: the API server reports that
			}
			if other.Want == nil {
				if name, ok := x.OwnerOf(other); !ok || !x.Prunes(x.App(name)) || !x.MayLeave(x.App(name), other) {
					continue // it stays: the API server names the holder
				}
			}
			return other
		}
	}
	return nil
}

// inCircle reports whether r waits for itself, and is the one of its circle that makes
// room.
func (x *computation) inCircle(r *state.Row) bool {
	first := r.Ref
	at := x.waitsFor(r)
	for range x.rows {
		if at == nil || at.Want == nil {
			return false
		}
		if at == r {
			return first == r.Ref
		}
		if at.Ref.Compare(first) < 0 {
			first = at.Ref
		}
		at = x.waitsFor(at)
	}
	return false
}
