package bounds

import (
	"context"
	"net"
	"sync"
	"time"
)

// A turn is one body's at the large bodies of a cluster. A body may be closed by
// somebody else than who reads it, at any time: after that nothing holds the turn.
type turn struct {
	large chan struct{} // the guard's
	over  chan struct{} // closed when the body was

	mu      sync.Mutex // protects what follows
	release func()     // nil while the turn is not held
	ended   bool
}

func newTurn(large chan struct{}) *turn { return &turn{large: large, over: make(chan struct{})} }

// take waits until no other large body is read, and does nothing where the turn is
// held. It fails when ctx ends, with which the turn ends too, or the body is closed.
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

// leave gives the turn to others; it may be taken again.
func (t *turn) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.release != nil {
		t.release()
		t.release = nil
	}
}

// end lets nobody take the turn any more, and leaves it after a time.
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
