package daemon

import "github.com/fedsync/fedsync/pkg/source"

// An inbox holds the newest event of source that the loop has not read yet, so that
// the loop never works on a superseded one and source never waits. Only one goroutine
// may call put.
type inbox struct {
	C chan source.Event // capacity 1: the newest event
}

func newInbox() inbox { return inbox{C: make(chan source.Event, 1)} }

// put replaces the event in the box. Only another revision replaces the revision in it,
// not a failure to read one.
func (b inbox) put(e source.Event) {
	select {
	case unread := <-b.C:
		if e.Snapshot == nil {
			e.Snapshot, e.Took = unread.Snapshot, unread.Took
		}
	default:
	}
	b.C <- e // there is room: nobody else calls put
}
