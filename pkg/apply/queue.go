package apply

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/fedsync/fedsync/pkg/apply/write"
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
	var work backlog
	for {
		timer.Stop()
		now := time.Now()
		jobs, next := a.begin(requests, now, &work)
		for _, j := range jobs {
			running.Go(func() {
				if j.do() {
					a.ring()
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
		case <-a.woken:
		case <-timer.C:
		}
	}
}

// backlog is what is left of an agenda. It stays true while nothing changes but
// what its own tasks did.
type backlog struct {
	turn  uint64 // of the Applier when it was made
	tasks []task
	until time.Time // when it is made again; zero for never
}

// Wake has Run work through the table again.
func (a *Applier) Wake() {
	a.turn.Add(1)
	a.ring()
}

// ring has Run go on with its backlog.
func (a *Applier) ring() {
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
	do func() (done bool) // reports whether the rest of the agenda is still true
}

// begin marks the tasks that start now, and returns when to look again.
func (a *Applier) begin(ctx context.Context, now time.Time, work *backlog) ([]job, time.Time) {
	may := a.mayWrite() // Wake is called when it may
	if !may {
		work.tasks = nil
	}
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
	free := min(a.Concurrency-fresh, maxFlights*a.Concurrency-all)
	if free <= 0 {
		return nil, t.nextSlow(now)
	}
	turn := a.turn.Load()
	if work.turn != turn || len(work.tasks) == 0 || !work.until.IsZero() && !now.Before(work.until) {
		plan := t.agendaAt(now)
		if !may {
			// What kinds there are can be asked for all the same.
			plan.tasks = slices.DeleteFunc(plan.tasks, func(x task) bool { return x.typ != taskLearn })
		}
		*work = backlog{turn: turn, tasks: plan.tasks, until: plan.next}
		// Then what takes long counts as tried.
		if slowAt := now.Add(slow); len(plan.tasks) > 0 && (work.until.IsZero() || slowAt.Before(work.until)) {
			work.until = slowAt
		}
	}
	n := min(len(work.tasks), free)
	var jobs []job
	for _, x := range work.tasks[:n] {
		jobs = append(jobs, job{do: a.start(a.requests, x, now)})
	}
	work.tasks = work.tasks[n:]
	return jobs, work.until
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
	if t.asking != nil {
		visit(t.asking)
	}
	for _, k := range t.kinds {
		if k.flight != nil {
			visit(k.flight)
			return // one request asks for all kinds
		}
	}
}

// start marks a task as under way and returns what does it; t.mu is held.
func (a *Applier) start(ctx context.Context, x task, now time.Time) func() bool {
	t := a.table
	f := &flight{since: now, incarnation: t.incarnation}
	r := x.row
	if r != nil {
		f.around = t.around(r)
		r.flight = f
	}
	var do func()
	switch x.typ {
	case taskPut:
		k := t.knownOf(r)
		return func() bool { return a.put(ctx, r, k, f) }
	case taskPark:
		k, used, held := t.knownOf(r), t.usedPorts(), t.heldByOthers(r.ref)
		return func() bool { return a.park(ctx, r, k, used, held, f) }
	case taskRemove:
		d := write.Deletion{
			Ref: r.ref, Resource: r.resource, UID: r.live.UID, Version: r.live.Version, PartOf: r.live.PartOf,
			Sets: slices.Sorted(maps.Keys(t.sets)),
		}
		return func() bool { return a.remove(ctx, r, d, f) }
	case taskLearn:
		for _, gk := range x.kinds {
			t.kind(gk).flight = f
		}
		do = func() { a.learn(ctx, x.kinds, f) }
	case taskSpace:
		t.space(x.space).flight = f
		create := t.mayCreate(x.space)
		do = func() { a.lookForSpace(ctx, x.space, create, f) }
	case taskWiden, taskNarrow:
		x.app.flight = f
		w := t.parentWish(x.app, x.typ == taskNarrow)
		do = func() { a.writeInventory(ctx, x.app, w, f) }
	case taskAsk:
		t.asking = f
		do = func() { a.ask(ctx, f) }
	}
	return func() bool { do(); return false }
}
