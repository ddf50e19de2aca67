package daemon

// A mailbox holds one value, the newest. Whoever puts never waits, and whoever
// takes never works on what has been overtaken. Safe for concurrent use.
type mailbox[T any] struct {
	C chan T // capacity 1: the newest value
}

func newMailbox[T any]() mailbox[T] { return mailbox[T]{C: make(chan T, 1)} }

// put replaces what is in the box.
func (m mailbox[T]) put(v T) {
	for {
		select {
		case m.C <- v:
			return
		default:
		}
		select {
		case <-m.C: // overtaken
		default:
		}
	}
}

// A bell is rung by many and heard by one; rings that nobody heard yet are one.
type bell chan struct{}

// newBell makes a bell; its capacity of 1 is the ring that was not heard yet.
func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
