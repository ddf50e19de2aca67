package post

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

func TestFlushReturnsWhenEverythingIsPosted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, f := time.Now(), &forge{}
		f.answer = func(c status.Commit) error {
			if time.Since(start) < 10*time.Second {
				return errors.New("502")
			}
			if c.SHA == shaB {
				return status.ErrRejected
			}
			return nil
		}
		p := New(f, Options{})
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		p.Want(want(shaB, status.Success, "3/3 clusters"))
		if err := p.Flush(t.Context()); err != nil || len(f.posted) != 1 {
			t.Errorf("Flush = %v with %v posted, want the one that is not rejected", err, f.posted)
		}
		if took := time.Since(start); took < 10*time.Second || took > 30*time.Second {
			t.Errorf("Flush took %s, want a little more than the outage", took)
		}
	})
}

func TestFlushEndsIfARetryDoesNotHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &forge{answer: func(status.Commit) error { return status.ErrUnauthorized }}
		p := New(f, Options{})
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		if err := p.Flush(t.Context()); !errors.Is(err, status.ErrUnauthorized) || len(f.attempts) != 1 {
			t.Errorf("Flush = %v after %d attempts, want ErrUnauthorized after one", err, len(f.attempts))
		}
		f.answer = func(status.Commit) error { return errors.New("502") }
		p = New(f, Options{})
		p.Want(want(shaA, status.Success, "3/3 clusters"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush to an unreachable forge = %v, want the context's error", err)
		}
	})
}
