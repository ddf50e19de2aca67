package agenda

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/state"
)

// When a refused task is tried again.

const (
	// pauseOwn bounds the pause of an object that is refused for its content.
	pauseOwn = 5 * time.Minute
	// pauseChanged bounds the pause after a change that the refusal may depend on:
	// soon, but not with every event.
	pauseChanged = 5 * time.Second
	// pauseDefined is the first pause before a kind is asked for again after its
	// definition is established: the API server serves it a moment later.
	pauseDefined = 100 * time.Millisecond
	// gapRetry is the minimum time between two tries of refused tasks, so that a
	// cluster that refuses everything costs little however many objects there are.
	// gapChanged is the minimum after a circumstance of the refusal has changed.
	gapRetry   = 4 * time.Second
	gapChanged = 2 * time.Second
)

// pauseMax bounds the pauses between tries of an object that is refused for a reason of
// its own. What manual intervention in the cluster may fix, unseen by any watch, is
// tried more often than what only Git can fix.
func pauseMax(e *refusal.Error) time.Duration {
	switch e.Class { //nolint:exhaustive // the others share a pause, or only Git fixes them
	case refusal.ClassInvalid, refusal.ClassPortRange, refusal.ClassUnknown:
		return pauseOwn
	}
	return state.PauseShared
}

// retry is a task that was refused before.
type retry struct {
	task    Item
	at      time.Time // of the refusal; zero when it no longer counts
	changed bool      // a circumstance has changed since
}

// notePast records when a refused task was last tried again.
func (x *computation) notePast(last state.Try, f *state.Flight) {
	if last.Err == nil {
		return
	}
	if last.Failures > 1 {
		x.retried = state.Latest(x.retried, last.At)
	}
	if f != nil {
		x.retried = state.Latest(x.retried, f.Since)
	}
}

// againAt schedules another try of a task for the end of its pause.
func (x *computation) againAt(last state.Try, again Item) {
	if until := last.Until(state.PauseShared); x.now.Before(until) {
		x.wake(until)
		return
	}
	x.retries = append(x.retries, retry{task: again, at: last.At})
}

// retryAt returns when a refused row may be tried again.
func (x *computation) retryAt(r *state.Row) time.Time {
	if r.Last.At.IsZero() {
		return time.Time{}
	}
	if x.hasChanged(r) {
		return state.Latest(r.Last.At.Add(r.Last.Err.RetryAfter), r.Last.At.Add(state.Backoff(state.PauseFirst, r.Last.Failures, pauseChanged)))
	}
	if r.Last.Reason == "" {
		return r.Last.Until(pauseMax(r.Last.Err))
	}
	if p := x.Pauses[r.Last.Reason]; p != nil {
		return p.Until
	}
	return time.Time{}
}

// hasChanged reports whether something that the row's refusal may depend on has
// changed.
func (x *computation) hasChanged(r *state.Row) bool { return r.Last.Around != x.Around(r) }

func (x *computation) retryOf(again Item) retry {
	if again.Row.Last.Err == nil {
		return retry{task: again, at: x.Since} // of a kind that hangs; goes before those that were tried
	}
	return retry{task: again, at: again.Row.Last.At, changed: x.hasChanged(again.Row)}
}

// hangs reports whether requests for a kind get no answer. Then one request at a time
// is enough, and untried rows delay nothing.
func (x *computation) hangs(gk schema.GroupKind) bool { return x.Kind(gk).Hung || x.slow[gk] }

// again returns the refused tasks that are tried now: all whose refusal no longer
// counts, and one of the others. That one is the task that waited longest; tasks with
// changed circumstances go first.
func (x *computation) again() []Item {
	slices.SortStableFunc(x.retries, func(a, b retry) int {
		if a.changed != b.changed {
			if a.changed {
				return -1
			}
			return 1
		}
		return a.at.Compare(b.at)
	})
	var tasks []Item
	spent := false
	for _, r := range x.retries {
		free := r.at.IsZero()
		if !free && spent || r.task.Row != nil && x.isBehind(r.task.Row) {
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

// isBehind reports whether the row has to wait for another row of its kind because
// requests for the kind get no answer.
func (x *computation) isBehind(r *state.Row) bool {
	gk := r.Ref.GroupKind()
	if !x.hangs(gk) {
		return false
	}
	behind := x.flying[gk]
	x.flying[gk] = true
	return behind
}
