package apply

import (
	"context"
	"sync"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/table"
)

// drainTimeout is how long requests under way may continue after Run is told to end.
const drainTimeout = 3 * time.Second

// Run does what is due until ctx ends and the requests under way have finished. It
// computes the agenda again whenever something changes: a plan, an event, an answer, or
// the time. A newer plan therefore takes effect between any two requests.
func (a *Applier) Run(ctx context.Context) {
	requests, stop := draining(ctx)
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var work table.Backlog
	for {
		timer.Stop()
		now := time.Now()
		tasks, next := a.begin(requests, now, &work)
		for _, x := range tasks {
			running.Go(func() {
				if a.do(x.ctx, x.Task) {
					a.Ring()
				} else {
					a.Wake()
				}
				a.changed()
			})
		}
		if !next.IsZero() {
			timer.Reset(max(next.Sub(now), time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return
		case <-a.Woken():
		case <-timer.C:
		}
	}
}

// begun is a task with the context of its requests.
type begun struct {
	*table.Task
	ctx context.Context
}

// begin starts the tasks that may start, unless ctx has ended, and returns when to call
// it again.
func (a *Applier) begin(ctx context.Context, now time.Time, work *table.Backlog) ([]begun, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.requests == nil || a.requests.Err() != nil {
		if ctx.Err() != nil {
			return nil, time.Time{}
		}
		a.requests, a.abort = context.WithCancel(ctx)
	}
	tasks, next := a.Begin(work, now, a.Concurrency, a.mayWrite())
	var out []begun
	for _, x := range tasks {
		out = append(out, begun{x, a.requests})
	}
	return out, next
}

// draining returns a context that ends drainTimeout after ctx.
func draining(ctx context.Context) (context.Context, context.CancelFunc) {
	drained, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(drainTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-drained.Done():
		}
	})
	return drained, func() { stop(); cancel() }
}
