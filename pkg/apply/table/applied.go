package table

import (
	"cmp"
	"slices"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Applied stores the outcome of a put, and judges the event that waited for it. It
// reports whether the outcome is the one that the agenda assumed.
func (t *Table) Applied(x *Task, out write.Outcome) (done bool) {
	if out.Drift == "" {
		out.Drift = x.Known.Drift
	}
	r, k, f := x.row, x.Known, x.flight
	v := t.s.Reader.Live(out.Answer)
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Flight = nil
	if f.Incarnation != t.s.Incarnation {
		t.replay(r)
		return false // it was about another cluster
	}
	if r.Adopting != nil && out.Note == nil && out.Action != federation.ActionCreated {
		// It was adopted by a request whose answer was lost.
		out.Note, out.Action = r.Adopting, federation.ActionAdopted
	}
	r.Adopting = nil
	now := time.Now()
	done = r.Last.Err == nil && t.s.Silent.Err == nil && !t.s.Kind(r.Ref.GroupKind()).Hung
	t.s.Silent = state.Try{}
	t.s.Released(r)
	r.Base, r.Live, r.Seen, r.Made, r.Drift, r.Last = &v, &v, now, k.Wish(), nil, state.Try{}
	r.Resource = k.Resource
	r.Remade = out.Action == federation.ActionCreated && out.Drift != ""
	t.s.NoteEnd(r, v)
	if s := t.s.Spaces[r.Ref.Namespace]; s != nil && !s.Known {
		s.Exists, s.Last = true, state.Try{}
		s.Known = !t.s.Listings.Spaces.Done
	}
	t.record(federation.Change{
		Cluster: t.s.Cluster, App: k.App, Object: k.Object.Ref, Action: out.Action, Drift: untrusted.New(out.Drift), Took: now.Sub(f.Since),
	})
	if out.Action != federation.ActionUnchanged {
		t.log.Info("object applied", zap.String("app", k.App), zap.Stringer("object", k.Object.Ref),
			zap.String("action", string(out.Action)), zap.String("drift", out.Drift), zap.String("revision", t.s.Plan.Revision.String()))
	}
	if out.Note != nil {
		// A new slice: Standing has returned the old one.
		t.s.Notes = slices.Concat(slices.DeleteFunc(slices.Clone(t.s.Notes), func(f federation.Finding) bool { return f.Object == out.Note.Object }), []federation.Finding{*out.Note})
	}
	t.replay(r)
	return done && r.Settled()
}

// Failed records why an object could not be applied.
func (t *Table) Failed(x *Task, out write.Outcome, e *refusal.Error) {
	r, k, f := x.row, x.Known, x.flight
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Flight = nil
	if f.Incarnation != t.s.Incarnation {
		t.replay(r)
		return
	}
	r.Adopting = cmp.Or(out.Note, r.Adopting)
	if e.Class == refusal.ClassDeleting && out.Answer != nil {
		v := t.s.Reader.Live(out.Answer)
		r.Live, r.Seen = &v, time.Now()
		f.Around = t.s.Around(r)
	}
	if e.MayBeDone() {
		r.Made = "" // it may have been carried out: an event or the next read shows it
	}
	if r.Want != nil {
		t.s.Refused(r, f, e)
		if r.Want.Wish() != k.Wish() {
			r.Last = state.Try{} // Git wants something else by now
		}
	}
	t.replay(r)
	t.s.Sweep(r)
}

// Parked stores a Service that moved to other ports. What the plan wants is due after
// that.
func (t *Table) Parked(x *Task, answer *unstructured.Unstructured) {
	r, v := x.row, t.s.Reader.Live(answer)
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Flight = nil
	if x.flight.Incarnation == t.s.Incarnation {
		r.Base, r.Live, r.Seen, r.Made, r.Drift, r.Last = &v, &v, time.Now(), "", nil, state.Try{}
	}
	t.replay(r)
}

// Removed stores the outcome of a deletion: the live object, which is nil if it is
// gone, and whether the deletion was requested. It reports whether the outcome is the
// one that the agenda assumed.
func (t *Table) Removed(x *Task, live *object.Live, asked bool) (done bool) {
	r, d := x.row, x.Deletion
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Flight = nil
	if x.flight.Incarnation != t.s.Incarnation {
		t.replay(r)
		return false
	}
	name := t.s.Sets[r.PartOf()]
	done = r.Last.Err == nil
	t.s.Silent = state.Try{}
	t.s.Released(r)
	r.Last, r.Seen = state.Try{}, time.Now()
	switch {
	case live == nil:
		r.Live, r.Base, r.Made, r.Drift = nil, nil, "", nil
	case live.UID != d.UID: // another object of that name
		r.Live, r.Base, r.Made, r.Drift = live, nil, "", nil
	default:
		r.Live = live
	}
	if asked {
		t.log.Info("object pruned", zap.String("app", name), zap.Stringer("object", d.Ref), zap.Bool("gone", live == nil))
		t.record(federation.Change{Cluster: t.s.Cluster, App: name, Object: d.Ref, Action: federation.ActionPruned, Took: time.Since(x.flight.Since)})
	}
	t.replay(r)
	t.s.Sweep(r)
	return done
}

// NotRemoved stores why an object could not be deleted.
func (t *Table) NotRemoved(x *Task, e *refusal.Error) {
	r := x.row
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Flight = nil
	if x.flight.Incarnation == t.s.Incarnation {
		t.s.Refused(r, x.flight, e)
		if r.Want != nil {
			r.Last = state.Try{} // it is wanted again
		}
	}
	t.replay(r)
	t.s.Sweep(r)
}
