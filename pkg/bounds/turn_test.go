package bounds

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// However a body is closed, its turn is released.
func TestAClosedBodyReleasesItsTurn(t *testing.T) {
	large := make(chan struct{}, 1)
	for range 2000 {
		turn := newTurn(large)
		var both sync.WaitGroup
		both.Go(func() {
			if turn.take(t.Context()) == nil {
				_ = turn.take(t.Context()) // as each read does
			}
		})
		both.Go(func() { turn.end(0) })
		both.Wait()
		if len(large) != 0 {
			t.Fatal("the turn of a closed body is held")
		}
	}
}

func TestWaitingForATurnEndsWhenItsBodyIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := make(chan struct{}, 1)
		first, second, third := newTurn(large), newTurn(large), newTurn(large)
		if err := first.take(t.Context()); err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 2)
		go func() { errs <- second.take(t.Context()) }()
		synctest.Wait()
		second.end(0)
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a body that is closed while it waits: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { errs <- third.take(ctx) }()
		first.end(time.Second)
		first.end(time.Second) // closed twice
		synctest.Wait()
		if len(errs) != 0 {
			t.Error("the turn is released before the content is decoded")
		}
		if err := <-errs; err != nil {
			t.Errorf("the next: %v", err)
		}
		cancel()
		synctest.Wait()
		if len(large) != 0 {
			t.Error("the turn is still held after its context has ended")
		}
	})
}
