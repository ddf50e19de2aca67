package table

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Answer is how a kind is served.
type Answer struct {
	Mapping *meta.RESTMapping
	Served  string // what the cluster serves in place of an unknown kind, as an apiVersion
	Err     error
}

// Learned stores how kinds are served.
func (t *Table) Learned(x *Task, answers map[schema.GroupKind]Answer, canceled bool) {
	f := x.flight
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for gk, got := range answers {
		k := t.s.Kind(gk)
		k.Flight = nil
		switch {
		case f.Incarnation != t.s.Incarnation || k.Version != x.Versions[gk]:
		case got.Err != nil && canceled:
		case got.Err != nil:
			if k.Asked != x.asked[gk] {
				k.Last = state.Try{} // another definition: its pauses begin again
			}
			k.Asked = x.asked[gk]
			e := refusal.New("discover", federation.ObjectRef{Group: gk.Group, Kind: gk.Kind}, "", got.Err)
			if got.Served != "" {
				e.Remedy = "write apiVersion: " + got.Served + ", which this cluster serves"
			}
			k.Last.Failed(now, e, f)
		default:
			k.Mapping, k.Watched, k.Last, k.Since, k.Doubted = got.Mapping, got.Mapping, state.Try{}, now, false
			t.s.Rescope(gk, got.Mapping)
			t.s.Release(func(r *state.Row) bool { return r.Ref.GroupKind() == gk && r.Last.Err.Class == refusal.ClassKind })
		}
	}
}

// SawSpace stores a namespace that was read; nil means that it is missing.
func (t *Table) SawSpace(x *Task, u *unstructured.Unstructured) {
	t.WithState(func(all *state.State) {
		s := all.Space(x.Space)
		s.Flight = nil
		now := time.Now()
		switch {
		case x.flight.Incarnation != all.Incarnation:
		case u == nil:
			*s = state.Space{Known: true, At: now}
		default:
			s.Observe(all.Reader.Hasher, u)
			s.At, s.Last, all.Silent = now, state.Try{}, state.Try{}
		}
	})
}

// SpaceRefused stores why a namespace could not be read or created.
func (t *Table) SpaceRefused(x *Task, e *refusal.Error) {
	t.WithState(func(all *state.State) {
		s := all.Space(x.Space)
		s.Flight = nil
		now := time.Now()
		switch {
		case x.flight.Incarnation != all.Incarnation:
		case e.Verb == "read" && e.Class == refusal.ClassForbidden && !all.Listings.Spaces.Done:
			*s = state.Space{Known: true, Exists: true, At: now} // as far as our permissions show
		case !e.Inconclusive():
			s.Last.Failed(now, e, x.flight)
		}
	})
}

// WroteParent stores an app's parent; nil means that there is none.
func (t *Table) WroteParent(x *Task, p *write.Parent) {
	t.WithState(func(s *state.State) {
		x.app.Flight = nil
		if x.flight.Incarnation == s.Incarnation {
			s.TakeParent(x.app, p)
			x.app.Last, s.Silent = state.Try{}, state.Try{}
		}
	})
}

// ParentRefused stores why an app's parent could not be written, and what was read of
// it; nil if nothing was read.
func (t *Table) ParentRefused(x *Task, p *write.Parent, e *refusal.Error) {
	t.WithState(func(s *state.State) {
		x.app.Flight = nil
		if x.flight.Incarnation != s.Incarnation {
			return
		}
		if p != nil {
			s.TakeParent(x.app, p)
		}
		if !e.Inconclusive() {
			x.app.Last.Failed(time.Now(), e, x.flight)
		}
	})
}

// Silent records that the API server did not answer a task's request, is overloaded or
// rejects our credentials. Nothing else is asked of it for a while.
func (t *Table) Silent(x *Task, e *refusal.Error) {
	f := x.flight
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.Incarnation != t.s.Incarnation {
		return
	}
	// Requests that were under way together count as one silence.
	if before := t.s.Silent; before.Err != nil && f.Since.Before(before.At) {
		before.Failures--
		t.s.Silent = before
	}
	t.s.Silent.Failed(time.Now(), e, f)
}

// Heard records that the API server answers.
func (t *Table) Heard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Silent = state.Try{}
}

// Asked ends a task that checks whether the API server answers. A nil e means that it
// does.
func (t *Table) Asked(x *Task, e *refusal.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Asking = nil
	if e != nil {
		t.s.Silent.Failed(time.Now(), e, x.flight)
	}
}
