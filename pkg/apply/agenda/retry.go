package agenda

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/state"
)

// When what was refused is tried again.

const (
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
	return state.PauseShared
}

// retry is a task for what was refused before.
type retry struct {
	task    Item
	at      time.Time // of the refusal; zero where it no longer counts
	changed bool      // a circumstance is another since
}

// notePast notes when something refused was tried again last.
func (x *reckoning) notePast(last state.Try, f *state.Flight) {
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

// againAt has a task tried again when its pause is over.
func (x *reckoning) againAt(last state.Try, again Item) {
	if until := last.Until(state.PauseShared); x.now.Before(until) {
		x.wake(until)
		return
	}
	x.retries = append(x.retries, retry{task: again, at: last.At})
}

// retryAt is when a refused row may be tried again.
func (x *reckoning) retryAt(r *state.Row) time.Time {
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

// hasChanged reports whether something that the row's refusal may depend on is
// another than it was.
func (x *reckoning) hasChanged(r *state.Row) bool { return r.Last.Around != x.Around(r) }

func (x *reckoning) retryOf(again Item) retry {
	if again.Row.Last.Err == nil {
		return retry{task: again, at: x.Since} // of a kind that hangs, and before those that were tried
	}
	return retry{task: again, at: again.Row.Last.At, changed: x.hasChanged(again.Row)}
}

// hangs reports whether requests for a kind are not answered. One at a time is
// enough then, and what was not tried holds up nothing.
func (x *reckoning) hangs(gk schema.GroupKind) bool { return x.Kind(gk).Hung || x.slow[gk] }

// again returns which of the refused tasks are tried now: all whose refusal no
// longer counts, and one of the others. That is the one that waited longest; what
// has seen a change goes first.
func (x *reckoning) again() []Item {
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

// isBehind reports whether the row has to wait for another one of its kind, of
// which requests are not answered.
func (x *reckoning) isBehind(r *state.Row) bool {
	gk := r.Ref.GroupKind()
	if !x.hangs(gk) {
		return false
	}
	behind := x.flying[gk]
	x.flying[gk] = true
	return behind
}
