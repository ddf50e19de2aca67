package table

import (
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Drift is the consequence of an Event.
type Drift struct {
	Object federation.ObjectRef
	// Repair means that the object has to be repaired, and that this is new.
	Repair bool
	// Text names what another client changed, as in "spec.ports by kubectl-edit". It is
	// empty if the object matches the plan.
	Text string
	// Findings means that the findings have changed.
	Findings bool
}

// Observe takes one event of the watches and returns its consequence. It makes no
// request and waits for none.
func (t *Table) Observe(e object.Event) Drift {
	ref := federation.RefOf(e.Object)
	if e.ResourceVersion == "" {
		e.ResourceVersion = e.Object.GetResourceVersion()
	}
	if app := parentsApp(t.s.Owner, e); app != "" {
		var p *write.Parent
		if !e.Deleted {
			p = write.ParentOf(t.s.Owner, app, e.Object)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		observeParent(t.s, app, e.Object.GetUID(), p)
		t.Wake()
		return Drift{Object: ref, Findings: true}
	}
	var v object.Live
	if !e.Deleted {
		v = t.s.Reader.Live(e.Object)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.s.Rows[ref]
	if r == nil {
		if e.Deleted || v.PartOf == "" {
			return Drift{Object: ref}
		}
		r = t.s.Row(ref)
	}
	if r.Resource.Empty() {
		r.Resource = e.Resource
	}
	if r.Flight != nil {
		if r.Queued == nil || object.IsNewer(e.ResourceVersion, r.Queued.ResourceVersion) {
			r.Queued = &e
		}
		return Drift{Object: ref}
	}
	d := t.judge(r, e, v)
	t.s.Sweep(r)
	return d
}

// objectGone records that the object is gone, or no longer bears our label.
func (t *Table) objectGone(r *state.Row) Drift {
	out := Drift{Object: r.Ref}
	known := r.Live != nil
	r.Live, r.Seen, r.Adopting = nil, time.Now(), nil
	t.Wake()
	out.Findings = known
	if _, over := t.s.Over(r); over {
		r.Drift, r.Last = nil, state.Try{}
		return out // a Job that has done its work
	}
	if r.Want == nil || r.Made == "" || !known {
		return out // it was not wanted, or is due already
	}
	return noteDrift(r, state.Drift{Text: "deleted, or its label removed", Paths: []string{state.WholeObject}, By: "somebody"})
}

// judge compares a state of an object with the result of our apply. The caller must
// hold t.mu.
func (t *Table) judge(r *state.Row, e object.Event, v object.Live) Drift {
	out := Drift{Object: r.Ref}
	if r.Base != nil && !object.IsNewer(e.ResourceVersion, r.Base.Version) {
		return out // it happened before our apply
	}
	if r.Live != nil && e.ResourceVersion != r.Live.Version && !object.IsNewer(e.ResourceVersion, r.Live.Version) {
		return out // a newer state is known
	}
	if e.Deleted {
		if last := t.s.Reader.Live(e.Object); r.Live == nil || r.Live.UID == last.UID {
			t.s.NoteEnd(r, last) // the Job may have ended and been deleted in one event
		}
		return t.objectGone(r)
	}
	before := r.Live
	r.Live, r.Seen = &v, time.Now()
	t.s.NoteEnd(r, v)
	if before != nil && before.End != v.End {
		t.Wake()
	}
	changed := before == nil || before.Mark() != v.Mark()
	if changed || before.Established != v.Established || !slices.Equal(before.Ports, v.Ports) {
		t.Wake()
	}
	out.Findings = changed || foreignOf(before) != foreignOf(&v) || !slices.Equal(before.Finalizers, v.Finalizers)
	if r.Want == nil || v.Terminating {
		return out
	}
	if r.Made == "" {
		if changed {
			t.s.Recognize(r)
		}
		return out
	}
	d, ok := driftOf(r.Base, v, e.Object)
	if !ok {
		if r.Drift != nil {
			r.Drift, r.Last, out.Findings = nil, state.Try{}, true // the change was undone
			t.Wake()
		}
		return out
	}
	if d.By == ownership.AnotherFedsync {
		t.overwritten()
	}
	noted := noteDrift(r, d)
	noted.Findings = noted.Findings || out.Findings
	return noted
}

// replay judges the event that arrived while a request was under way.
func (t *Table) replay(r *state.Row) {
	event := r.Queued
	r.Queued = nil
	if event == nil {
		return
	}
	var seen object.Live
	if !event.Deleted {
		seen = t.s.Reader.Live(event.Object)
	}
	if d := t.judge(r, *event, seen); d.Repair {
		t.log.Info("drift found", zap.Stringer("object", d.Object), zap.String("drift", d.Text))
	}
}

// driftOf returns what another client changed between base and live; false if nothing.
func driftOf(base *object.Live, live object.Live, object *unstructured.Unstructured) (state.Drift, bool) {
	changed := ownership.Compare(base.View, live.View, object.GetManagedFields())
	if changed.Paths == nil && live.PartOf == base.PartOf && live.Owned {
		return state.Drift{}, false
	}
	d := state.Drift{Paths: changed.Paths, By: changed.By}
	if len(d.Paths) == 0 {
		d.Paths = []string{"metadata.managedFields"}
	}
	d.Text = untrusted.Line(untrusted.Some(d.Paths, 3) + " by " + d.By)
	return d, true
}

// noteDrift remembers the drift until it is repaired, and checks whether it has become
// a fight.
func noteDrift(r *state.Row, d state.Drift) Drift {
	now := time.Now()
	isNew := r.Drift == nil
	r.Drift = &d
	stoppedBefore := r.Stopped(now)
	if isNew && !stoppedBefore {
		r.Flip(now, d)
	}
	stopped := r.Stopped(now)
	return Drift{Object: r.Ref, Repair: isNew && !stopped, Text: d.Text, Findings: true}
}

// foreignOf returns the foreign fields as a comparable value.
func foreignOf(v *object.Live) string {
	if v == nil {
		return ""
	}
	var b strings.Builder
	for _, f := range v.Foreign {
		b.WriteString(f.Path + "\x00" + f.Manager + "\x00")
	}
	return b.String()
}

// parentsApp returns the app whose parent the event is about; empty if it is not about
// a parent of this federation.
func parentsApp(owner inventory.Owner, e object.Event) string {
	if e.Resource != object.ConfigMaps {
		return ""
	}
	return inventory.AppOf(owner.Federation, e.Object)
}

// observeParent stores a watch event of the app's parent: its uid, and nil if it was
// deleted.
func observeParent(s *state.State, app string, uid types.UID, p *write.Parent) {
	of := s.App(app)
	switch {
	case of.Flight != nil && of.Parent != nil && p != nil && !object.IsNewer(p.ResourceVersion, of.Parent.ResourceVersion):
		return
	case p != nil:
		s.TakeParent(of, p)
	case of.Parent != nil && (of.Parent.UID == uid || uid == ""):
		of.Parent = nil // its kinds are known from the rows; objects that left still have its label
	}
}
