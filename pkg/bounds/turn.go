package bounds

import (
	"context"
	"net"
	"sync"
	"time"
)

// A turn is a body's turn among the large bodies of a cluster. A body may be
// closed at any time by another goroutine than its reader: after that nothing
// holds the turn.
type turn struct {
	large chan struct{} // of the guard
	over  chan struct{} // closed when the body is

	mu      sync.Mutex // protects what follows
	release func()     // nil while the turn is not held
	ended   bool
}

func newTurn(large chan struct{}) *turn { return &turn{large: large, over: make(chan struct{})} }

// take waits until no other large body is read. It does nothing if the turn is
// already held. It fails when ctx ends, which also ends the turn, or when the body
// is closed.
func (t *turn) take(ctx context.Context) error {
	t.mu.Lock()
	held := t.release != nil
	t.mu.Unlock()
	if held {
		return nil
	}
	select {
	case t.large <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.over:
		return net.ErrClosed
	}
	release := sync.OnceFunc(func() { <-t.large })
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		release()
		return net.ErrClosed
	}
	stop := context.AfterFunc(ctx, release)
	t.release = func() { stop(); release() }
	return nil
}

// leave releases the turn, which may be taken again.
func (t *turn) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.release != nil {
		t.release()
		t.release = nil
	}
}

// end prevents the turn from being taken again, and releases it after a time.
func (t *turn) end(after time.Duration) {
	t.mu.Lock()
	first, held := !t.ended, t.release != nil
	t.ended = true
	t.mu.Unlock()
	if first {
		close(t.over)
	}
	switch {
	case held && after > 0:
		time.AfterFunc(after, t.leave)
	case held:
		t.leave()
	}
}
