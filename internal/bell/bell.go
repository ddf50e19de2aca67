// Package bell wakes a goroutine that waits for a change.
//
// What has changed is looked up by who hears the bell, so that no ring can be lost
// and none has to be waited for.
package bell

// A Bell is rung by many and heard by one; rings that nobody heard yet are one.
type Bell chan struct{}

// New makes a Bell; its capacity of 1 is the ring that was not heard yet.
func New() Bell { return make(Bell, 1) }

// Ring never blocks.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default: // it rings already
	}
}
