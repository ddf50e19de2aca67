package apply

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/refusal"
)

// When what was refused is tried again.

// Pauses between two tries, which double from the first to the last of them.
const (
	pauseFirst = time.Second
	// pauseShared bounds the pause of what may be lifted for many objects at a
	// time: a policy, a quota, a right.
	pauseShared = 30 * time.Second
	// pauseOwn bounds the pause of an object that is refused for what it says.
	pauseOwn = 5 * time.Minute
	// pauseChanged bounds the pause after something that the refusal may depend on
	// has changed: soon, and yet not with every event.
	pauseChanged = 5 * time.Second
	// pauseDefined is the first pause before a kind is asked for again that an
	// established definition brings: the API server serves it a moment later.
	pauseDefined = 100 * time.Millisecond
	// gapRetry is the least time between two tries of what was refused, so that a
	// cluster that refuses everything costs little however much there is; gapChanged
	// that where a circumstance of the refusal has changed.
	gapRetry   = 4 * time.Second
	gapChanged = 2 * time.Second
)

// pauseMax bounds the pauses between tries of what is refused for a reason of its
// own: what somebody's hand in the cluster may mend, unseen by any watch, is tried
// more often than what only Git can.
func pauseMax(e *refusal.Error) time.Duration {
	switch e.Class { //nolint:exhaustive // the others share a pause, or only Git mends them
	case refusal.ClassInvalid, refusal.ClassPortRange, refusal.ClassUnknown:
		return pauseOwn
	}
	return pauseShared
}

// retry is a task for what was refused before.
type retry struct {
	task    task
	at      time.Time // of the refusal; zero where it no longer counts
	changed bool      // a circumstance is another since
}

// notePast notes when something refused was tried again last.
func (x *reckoning) notePast(last try, f *flight) {
	if last.err == nil {
		return
	}
	if last.failures > 1 {
		x.retried = latest(x.retried, last.at)
	}
	if f != nil {
		x.retried = latest(x.retried, f.since)
	}
}

// againAt has a task tried again when its pause is over.
func (x *reckoning) againAt(last try, again task) {
	if until := last.until(pauseShared); x.now.Before(until) {
		x.wake(until)
		return
	}
	x.retries = append(x.retries, retry{task: again, at: last.at})
}

// retryAt is when a refused row may be tried again.
func (x *reckoning) retryAt(r *row) time.Time {
	if r.last.at.IsZero() {
		return time.Time{}
	}
	if x.hasChanged(r) {
		return latest(r.last.at.Add(r.last.err.RetryAfter), r.last.at.Add(backoff(pauseFirst, r.last.failures, pauseChanged)))
	}
	if r.last.reason == "" {
		return r.last.until(pauseMax(r.last.err))
	}
	if p := x.pauses[r.last.reason]; p != nil {
		return p.until
	}
	return time.Time{}
}

// hasChanged reports whether something that the row's refusal may depend on is
// another than it was.
func (x *reckoning) hasChanged(r *row) bool { return r.last.around != x.around(r) }

func (x *reckoning) retryOf(again task) retry {
	if again.row.last.err == nil {
		return retry{task: again, at: x.since} // of a kind that hangs, and before those that were tried
	}
	return retry{task: again, at: again.row.last.at, changed: x.hasChanged(again.row)}
}

// hangs reports whether requests for a kind are not answered. One at a time is
// enough then, and what was not tried holds up nothing.
func (x *reckoning) hangs(gk schema.GroupKind) bool { return x.kind(gk).hung || x.slow[gk] }

// again returns which of the refused tasks are tried now: all whose refusal no
// longer counts, and one of the others. That is the one that waited longest; what
// has seen a change goes first.
func (x *reckoning) again() []task {
	slices.SortStableFunc(x.retries, func(a, b retry) int {
		if a.changed != b.changed {
			if a.changed {
				return -1
			}
			return 1
		}
		return a.at.Compare(b.at)
	})
	var tasks []task
	spent := false
	for _, r := range x.retries {
		free := r.at.IsZero()
		if !free && spent || r.task.row != nil && x.isBehind(r.task.row) {
			continue
		}
		if !free {
			spent = true
			gap := gapRetry
			if r.changed {
				gap = gapChanged
			}
			if at := x.retried.Add(gap); x.now.Before(at) {
				x.wake(at)
				continue
			}
		}
		tasks = append(tasks, r.task)
	}
	return tasks
}

// isBehind reports whether the row has to wait for another one of its kind, of
// which requests are not answered.
func (x *reckoning) isBehind(r *row) bool {
	gk := r.ref.GroupKind()
	if !x.hangs(gk) {
		return false
	}
	behind := x.flying[gk]
	x.flying[gk] = true
	return behind
}

// around is what a refusal of the row may depend on, as it is now.
func (t *table) around(r *row) circumstances {
	var c circumstances
	if r.want != nil {
		c.wish = r.want.Wish()
	}
	if r.live != nil {
		c.object = r.live.Mark()
	}
	if s := t.spaces[r.ref.Namespace]; s != nil {
		c.space = s.mark
	}
	c.kind = t.definition(r.ref.GroupKind())
	return c
}

// until is when a failure may be tried again, with pauses up to last.
func (t try) until(last time.Duration) time.Time {
	if t.err == nil || t.at.IsZero() {
		return time.Time{}
	}
	return t.at.Add(max(t.err.RetryAfter, backoff(pauseFirst, t.failures, last)))
}

// backoff is the pause after so many failures in a row.
func backoff(first time.Duration, failures int, last time.Duration) time.Duration {
	pause := first
	for i := 1; i < failures && pause < last; i++ {
		pause *= 2
	}
	return min(pause, last)
}

// latest returns the later of two times, where zero is none.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// failed records a failure of what was begun with flight.
func (t *try) failed(now time.Time, e *refusal.Error, f *flight) {
	*t = try{err: e, reason: e.Reason(), at: now, failures: t.failures + 1, around: f.around}
}
