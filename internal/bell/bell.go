// Package bell wakes a goroutine that waits for a change.
//
// The receiver reads the state that has changed, so no ring can be lost, and
// ringing never waits.
package bell

// A Bell has many senders and one receiver; pending rings are combined into
// one.
type Bell chan struct{}

// New returns a Bell. Its capacity of 1 holds the pending ring.
func New() Bell { return make(Bell, 1) }

// Ring never blocks.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default: // a ring is pending
	}
}
