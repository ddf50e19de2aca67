package daemon

import "github.com/fedsync/fedsync/pkg/source"

// An inbox holds what source found and the loop has not read yet: the newest of
// it, so that the loop never works on what has been overtaken and source never
// waits. One goroutine puts.
type inbox struct {
	C chan source.Event // capacity 1: the newest event
}

func newInbox() inbox { return inbox{C: make(chan source.Event, 1)} }

// put replaces what is in the box. A revision in it is overtaken by another one
// only, and not by a failure to read a further one.
func (b inbox) put(e source.Event) {
	select {
	case unread := <-b.C:
		if e.Snapshot == nil {
			e.Snapshot, e.Took = unread.Snapshot, unread.Took
		}
	default:
	}
	b.C <- e // there is room: nobody else puts
}
