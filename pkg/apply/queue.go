package apply

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// drainTimeout is how long requests under way may go on after the end of Run was
// asked for.
const drainTimeout = 3 * time.Second

// maxFlights bounds the requests under way, those that take long included.
const maxFlights = 4 // times Options.Concurrency

// Run does what is due, until ctx ends and what was under way has come to an end.
// It works through the table again whenever something changes: a plan, an event, an
// answer, or the time. So a newer plan takes effect between any two requests.
func (a *Applier) Run(ctx context.Context) {
	requests, stop := draining(ctx)
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Stop()
		now := time.Now()
		tasks, next := a.begin(requests, now)
		for _, t := range tasks {
			running.Go(func() {
				t.do()
				a.Wake()
				a.changed()
			})
		}
		if !next.IsZero() {
			timer.Reset(max(next.Sub(now), time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return
		case <-a.woken:
		case <-timer.C:
		}
	}
}

// Wake has Run look at the table again.
func (a *Applier) Wake() {
	select {
	case a.woken <- struct{}{}:
	default: // a token is there already
	}
}

// draining returns a context that outlives the end of ctx by drainTimeout.
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

// job is a task that was marked as under way.
type job struct {
	do func()
}

// begin marks the tasks that start now, and returns when to look again.
func (a *Applier) begin(ctx context.Context, now time.Time) ([]job, time.Time) {
	may := a.mayWrite() // Wake is called when it may
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.requests == nil || a.requests.Err() != nil {
		if ctx.Err() != nil {
			return nil, time.Time{}
		}
		a.requests, a.abort = context.WithCancel(ctx)
	}
	fresh, all := t.flights(now)
	if fresh >= a.Concurrency || all >= maxFlights*a.Concurrency {
		return nil, t.nextSlow(now)
	}
	plan := t.agendaAt(now)
	free := min(a.Concurrency-fresh, maxFlights*a.Concurrency-all)
	var jobs []job
	if !may {
		// What kinds there are can be asked for all the same.
		plan.tasks = slices.DeleteFunc(plan.tasks, func(x task) bool { return x.typ != taskLearn })
	}
	for _, x := range plan.tasks[:min(len(plan.tasks), free)] {
		jobs = append(jobs, job{do: a.start(a.requests, x, now)})
	}
	if len(jobs) > 0 && (plan.next.IsZero() || now.Add(slow).Before(plan.next)) {
		plan.next = now.Add(slow) // then a slot may count as free
	}
	return jobs, plan.next
}

// flights counts the requests under way, and those of them that have not taken
// long; t.mu is held.
func (t *table) flights(now time.Time) (fresh, all int) {
	t.eachFlight(func(f *flight) {
		all++
		if now.Before(f.since.Add(slow)) {
			fresh++
		}
	})
	return fresh, all
}

// nextSlow is when the next request under way will have taken long.
func (t *table) nextSlow(now time.Time) time.Time {
	var next time.Time
	t.eachFlight(func(f *flight) {
		if at := f.since.Add(slow); now.Before(at) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	})
	return next
}

func (t *table) eachFlight(visit func(*flight)) {
	for _, r := range t.rows {
		if r.flight != nil {
			visit(r.flight)
		}
	}
	for _, a := range t.apps {
		if a.flight != nil {
			visit(a.flight)
		}
	}
	for _, s := range t.spaces {
		if s.flight != nil {
			visit(s.flight)
		}
	}
	for _, k := range t.kinds {
		if k.flight != nil {
			visit(k.flight)
			return // one request asks for all kinds
		}
	}
}

// start marks a task as under way and returns what does it; t.mu is held.
func (a *Applier) start(ctx context.Context, x task, now time.Time) func() {
	t := a.table
	f := &flight{since: now, incarnation: t.incarnation}
	switch x.typ {
	case taskLearn:
		for _, gk := range x.kinds {
			t.kind(gk).flight = f
		}
		return func() { a.learn(ctx, x.kinds, f) }
	case taskSpace:
		t.space(x.space).flight = f
		create := t.mayCreate(x.space)
		return func() { a.lookForSpace(ctx, x.space, create, f) }
	case taskWiden, taskNarrow:
		x.app.flight = f
		w := t.parentWish(x.app, x.typ == taskNarrow)
		return func() { a.writeInventory(ctx, x.app, w, f) }
	case taskRemove:
		f.around = t.around(x.row)
		x.row.flight = f
		d := deletion{ref: x.row.ref, resource: x.row.resource, uid: x.row.live.uid, version: x.row.live.version, sets: slices.Sorted(maps.Keys(t.sets))}
		return func() { a.remove(ctx, x.row, d, f) }
	case taskPut, taskPark:
		r := x.row
		f.around = t.around(r)
		r.flight = f
		k := t.knownOf(r)
		if r.resource.Empty() {
			r.resource = k.mapping.Resource
		}
		if x.typ == taskPark {
			used, held := t.usedPorts(), t.heldByOthers(r.ref)
			return func() { a.park(ctx, r, k, used, held, f) }
		}
		return func() { a.put(ctx, r, k, f) }
	}
	return func() {}
}
