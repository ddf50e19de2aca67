package state

import (
	"time"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
)

// Try is the result of the last request for something.
type Try struct {
	Err      *refusal.Error // nil if it succeeded, or none was made
	Reason   string         // shared with other refusals; empty if it has no shared reason
	At       time.Time      // zero when it no longer counts, and another try is due
	Failures int            // in a row
	Around   Circumstances
}

// Until returns when a failed request may be tried again. Pauses grow up to last.
func (t Try) Until(last time.Duration) time.Time {
	if t.Err == nil || t.At.IsZero() {
		return time.Time{}
	}
	return t.At.Add(max(t.Err.RetryAfter, Backoff(PauseFirst, t.Failures, last)))
}

// Failed records a failure of the request that began with flight.
func (t *Try) Failed(now time.Time, e *refusal.Error, f *Flight) {
	*t = Try{Err: e, Reason: e.Reason(), At: now, Failures: t.Failures + 1, Around: f.Around}
}

// Circumstances are what a refusal may depend on. When they change, another try is due
// soon.
type Circumstances struct {
	wish   string
	object object.Mark
	space  SpaceMark
	kind   DefinitionMark
}

// DefinitionMark changes with the definition of a kind.
type DefinitionMark struct {
	mark        object.Mark
	established bool
}

// Pause is the wait shared by the objects that are refused for one reason.
type Pause struct {
	At       time.Time // of the last refusal
	Failures int       // in a row
	Until    time.Time
}

// Pauses between two tries, which double from PauseFirst.
const (
	PauseFirst = time.Second
	// PauseShared bounds the pause for refusals that may end for many objects at the
	// same time: by a policy, a quota, a permission.
	PauseShared = 30 * time.Second
)

// Backoff returns the pause after this many failures in a row.
func Backoff(first time.Duration, failures int, last time.Duration) time.Duration {
	pause := first
	for i := 1; i < failures && pause < last; i++ {
		pause *= 2
	}
	return min(pause, last)
}

// Latest returns the later of two times. Zero means no time.
func Latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Around returns what a refusal of the row may depend on, in its current state.
func (t *State) Around(r *Row) Circumstances {
	var c Circumstances
	if r.Want != nil {
		c.wish = r.Want.Wish()
	}
	if r.Live != nil {
		c.object = r.Live.Mark()
	}
	if s := t.Spaces[r.Ref.Namespace]; s != nil {
		c.space = s.Mark
	}
	c.kind = t.Definition(r.Ref.GroupKind())
	return c
}

// Refused records a refusal of a row, and the pause that all rows refused for the same
// reason share.
func (t *State) Refused(r *Row, f *Flight, e *refusal.Error) {
	if e.Inconclusive() {
		return // examine reports it for the cluster, or the request is repeated
	}
	now := time.Now()
	r.Last.Failed(now, e, f)
	k := t.Kind(r.Ref.GroupKind())
	k.Hung = e.Class == refusal.ClassTimeout
	if !k.Hung {
		delete(t.Pauses, refusal.TimeoutReason(r.Ref.GroupKind()))
	}
	switch {
	case e.Class == refusal.ClassKind && k.Mapping != nil:
		k.Mapping, k.Last, k.Doubted = nil, Try{}, true // the kind is served differently now
	case e.Class == refusal.ClassNamespace && !t.Listings.Spaces.Done && t.Spaces[r.Ref.Namespace] != nil:
		t.Spaces[r.Ref.Namespace].Known = false
	}
	if r.Last.Reason == "" {
		return
	}
	p := t.Pauses[r.Last.Reason]
	if p == nil {
		p = &Pause{}
		t.Pauses[r.Last.Reason] = p
	}
	// Refusals of requests that were under way together count once.
	if p.Failures == 0 || !f.Since.Before(p.At) {
		p.Failures++
	}
	p.At = now
	p.Until = now.Add(max(e.RetryAfter, Backoff(PauseFirst, p.Failures, PauseShared)))
}

// Released ends the pause of all rows that were refused for the same reason as this
// one, because this one succeeded.
func (t *State) Released(r *Row) {
	k := t.Kind(r.Ref.GroupKind())
	k.Hung = false
	delete(t.Pauses, refusal.TimeoutReason(r.Ref.GroupKind()))
	if e := r.Last.Err; e != nil {
		delete(t.Pauses, r.Last.Reason)
		t.Release(func(o *Row) bool { return o.Last.Reason == r.Last.Reason && o.Last.Err.Class == e.Class })
		for _, a := range t.Apps {
			if a.Last.Err != nil && a.Last.Err.Class == e.Class {
				a.Last.At = time.Time{}
			}
		}
	}
}

// Release makes the refusals of these rows no longer count.
func (t *State) Release(which func(*Row) bool) {
	for _, r := range t.Rows {
		if r.Last.Err != nil && which(r) {
			r.Last.At = time.Time{}
		}
	}
}

// RetryAll ends every pause.
func (t *State) RetryAll() {
	clear(t.Pauses)
	for _, r := range t.Rows {
		r.Last = Try{}
	}
	for _, a := range t.Apps {
		a.Last = Try{}
	}
	for _, k := range t.Kinds {
		k.Last = Try{}
	}
	for _, s := range t.Spaces {
		s.Last = Try{}
	}
}
