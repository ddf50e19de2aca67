package apply

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// knownOf is what the table knows of a row; t.mu is held.
func (t *table) knownOf(r *row) write.Known {
	k := write.Known{Desired: r.want, Resource: t.kind(r.ref.GroupKind()).mapping.Resource, Sets: map[string]bool{}}
	k.Resource.Version = r.want.Object.Version
	for set := range t.sets {
		k.Sets[set] = true
	}
	if r.base != nil {
		k.Base = r.base.UID
	}
	if r.drift != nil {
		k.Drift = r.drift.text
	}
	if v := r.live; v != nil {
		k.Ours = v.Owned && k.Sets[v.PartOf]
		k.LetsGo = k.Ours && k.LeavesReplicas() && v.Owns(object.ReplicasPath)
		k.Live, k.Version = v.UID, v.Version
	}
	return k
}

// put brings one object to the cluster and records what came of it. It reports
// whether it is as the agenda took for granted.
func (a *Applier) put(ctx context.Context, r *row, k write.Known, f *flight) (done bool) {
	out, err := a.writer.Put(ctx, k)
	if err != nil {
		a.endFailed(ctx, r, f, k, out, err)
		return false
	}
	if out.Drift == "" {
		out.Drift = k.Drift
	}
	return a.endApplied(r, f, k, out)
}

// endApplied takes the answer for what is to be, and looks at the event that waited
// for it.
func (a *Applier) endApplied(r *row, f *flight, k write.Known, out write.Outcome) (done bool) {
	v := a.table.reader.Live(out.Answer)
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	r.flight = nil
	if f.incarnation != t.incarnation {
		a.replay(r)
		return false // it was about another cluster
	}
	if r.adopting != nil && out.Note == nil && out.Action != federation.ActionCreated {
		// It was adopted by a request whose answer was lost.
		out.Note, out.Action = r.adopting, federation.ActionAdopted
	}
	r.adopting = nil
	now := time.Now()
	done = r.last.err == nil && t.silent.err == nil && !t.kind(r.ref.GroupKind()).hung
	t.silent = try{}
	t.released(r)
	r.base, r.live, r.seen, r.made, r.drift, r.last = &v, &v, now, k.Wish(), nil, try{}
	r.resource = k.Resource
	r.remade = out.Action == federation.ActionCreated && out.Drift != ""
	t.noteEnd(r, v)
	if s := t.spaces[r.ref.Namespace]; s != nil && !s.known {
		s.exists, s.last = true, try{}
		s.known = !t.listings.spaces.done
	}
	a.record(federation.Change{
		Cluster: a.Cluster, App: k.App, Object: k.Object.Ref, Action: out.Action, Drift: untrusted.New(out.Drift), Took: now.Sub(f.since),
	})
	if out.Action != federation.ActionUnchanged {
		a.Log.Info("object applied", zap.String("app", k.App), zap.Stringer("object", k.Object.Ref),
			zap.String("action", string(out.Action)), zap.String("drift", out.Drift), zap.String("revision", t.plan.Revision.String()))
	}
	if out.Note != nil {
		// A new slice: Standing has given the old one away.
		t.notes = slices.Concat(slices.DeleteFunc(slices.Clone(t.notes), func(f federation.Finding) bool { return f.Object == out.Note.Object }), []federation.Finding{*out.Note})
	}
	a.replay(r)
	return done && r.settled()
}

// endFailed records why an object could not be brought to the cluster.
func (a *Applier) endFailed(ctx context.Context, r *row, f *flight, k write.Known, out write.Outcome, err error) {
	e := refusal.New(out.Verb, k.Object.Ref, k.Object.File, err)
	a.examine(ctx, e, err, f)
	if e.Class == refusal.ClassPortTaken {
		a.writer.NameHolder(ctx, e)
	}
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	r.flight = nil
	if f.incarnation != t.incarnation {
		a.replay(r)
		return
	}
	r.adopting = cmp.Or(out.Note, r.adopting)
	if e.Class == refusal.ClassDeleting && out.Answer != nil {
		v := t.reader.Live(out.Answer)
		r.live, r.seen = &v, time.Now()
		f.around = t.around(r)
	}
	if e.MayBeDone() {
		r.made = "" // it may have been done or not: an event or the next look tells
	}
	if r.want != nil {
		t.refused(r, f, e)
		if r.want.Wish() != k.Wish() {
			r.last = try{} // Git has changed its mind meanwhile
		}
	}
	a.replay(r)
	t.sweep(r)
}

// replay judges the event that came while a request was under way; t.mu is held.
func (a *Applier) replay(r *row) {
	event := r.queued
	r.queued = nil
	if event == nil {
		return
	}
	var seen object.Live
	if !event.Deleted {
		seen = a.table.reader.Live(event.Object)
	}
	if d := a.judge(r, *event, seen); d.Repair {
		a.Log.Info("drift found", zap.Stringer("object", d.Object), zap.String("drift", d.Text))
	}
}
