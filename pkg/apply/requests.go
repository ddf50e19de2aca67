package apply

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/write"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/federation"
)

// What tasks do besides bringing objects to the cluster, and what is learned from
// every answer.

// learn asks how kinds are served. Those that the cluster does not serve are asked
// for once more after a reset, since what the mapper knows may be old.
func (a *Applier) learn(ctx context.Context, kinds []schema.GroupKind, f *flight) {
	t := a.table
	wanted := map[schema.GroupKind]string{}
	t.mu.Lock()
	// What the mapper knows may be of another cluster, or an answer may have said
	// otherwise.
	fresh := t.mapped != f.incarnation
	t.mapped = f.incarnation
	asked := map[schema.GroupKind]definitionMark{}
	for _, gk := range kinds {
		wanted[gk], asked[gk] = t.kind(gk).version, t.definition(gk)
		fresh = fresh || t.kind(gk).doubted
	}
	t.mu.Unlock()
	if fresh {
		a.Mapper.Reset()
	}

	type answer struct {
		mapping *meta.RESTMapping
		served  string // what the cluster has in place of what it does not know
		err     error
	}
	answers := map[schema.GroupKind]answer{}
	var failed error // of the discovery as a whole
	for _, gk := range kinds {
		if failed != nil {
			answers[gk] = answer{err: failed}
			continue
		}
		mapping, err := a.writer.Mapping(ctx, gk, wanted[gk])
		if meta.IsNoMatchError(err) && !fresh {
			a.Mapper.Reset()
			fresh = true
			mapping, err = a.writer.Mapping(ctx, gk, wanted[gk])
		}
		its := answer{mapping: mapping, err: err}
		switch {
		case meta.IsNoMatchError(err):
			its.served = a.writer.Served(ctx, gk)
		case err != nil:
			failed = err
		}
		answers[gk] = its
	}

	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for gk, got := range answers {
		k := t.kind(gk)
		k.flight = nil
		switch {
		case f.incarnation != t.incarnation || k.version != wanted[gk]:
		case got.err != nil && ctx.Err() != nil:
		case got.err != nil:
			if k.asked != asked[gk] {
				k.last = try{} // another definition: its pauses begin afresh
			}
			k.asked = asked[gk]
			e := refusal.New("discover", federation.ObjectRef{Group: gk.Group, Kind: gk.Kind}, "", got.err)
			if got.served != "" {
				e.Remedy = "write apiVersion: " + got.served + ", which this cluster serves"
			}
			k.last.failed(now, e, f)
		default:
			k.mapping, k.watched, k.last, k.since, k.doubted = got.mapping, got.mapping, try{}, now, false
			t.rescope(gk, got.mapping)
			t.release(func(r *row) bool { return r.ref.GroupKind() == gk && r.last.err.Class == refusal.ClassKind })
		}
	}
}

// lookForSpace reads a namespace, and makes it where it is missing and may be made.
// Where it may not be read the objects themselves tell.
func (a *Applier) lookForSpace(ctx context.Context, name string, create bool, f *flight) {
	ref := federation.ObjectRef{Kind: "Namespace", Name: name}
	verb := "read"
	u, err := a.writer.Get(ctx, object.Namespaces, federation.ObjectRef{Name: name})
	if apierrors.IsNotFound(err) && create {
		verb = "create"
		u, err = a.writer.CreateNamespace(ctx, name)
	}
	var e *refusal.Error
	if err != nil {
		e = refusal.New(verb, ref, "", err)
		a.examine(ctx, e, err, f)
	}
	now := time.Now()
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.space(name)
	s.flight = nil
	switch {
	case f.incarnation != t.incarnation:
	case err == nil:
		s.observe(t.reader.Hasher, u)
		s.at, s.last, t.silent = now, try{}, try{}
	case apierrors.IsNotFound(err):
		*s = space{known: true, at: now}
	case verb == "read" && e.Class == refusal.ClassForbidden && !t.listings.spaces.done:
		*s = space{known: true, exists: true, at: now} // as far as we may see
	case !e.SaysNothing():
		s.last.failed(now, e, f)
	}
}

// observe takes what a namespace shows.
func (s *space) observe(h ownership.Hasher, u *unstructured.Unstructured) {
	s.known, s.exists = true, true
	s.terminating, s.message = u.GetDeletionTimestamp() != nil, ""
	s.mark = spaceMark{uid: u.GetUID(), terminating: s.terminating, labels: h.Labels(u.GetLabels())}
	if !s.terminating {
		return
	}
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	var why []string
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["status"] == "True" {
			if text, _ := m["message"].(string); text != "" {
				why = append(why, text)
			}
		}
	}
	s.message = strings.Join(why, "; ")
}

// remove deletes one object, and looks whether it is gone: what has finalizers
// stays until somebody has done what they wait for. It reports whether that went as
// the agenda took for granted.
func (a *Applier) remove(ctx context.Context, r *row, d write.Deletion, f *flight) (done bool) {
	live, asked, err := a.writer.Delete(ctx, d)
	gone := apierrors.IsNotFound(err)
	var e *refusal.Error
	if err != nil && !gone {
		e = refusal.New("prune", d.Ref, "", err)
		a.examine(ctx, e, err, f)
	}

	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	r.flight = nil
	if f.incarnation != t.incarnation {
		a.replay(r)
		return false
	}
	name := t.sets[r.partOf()]
	if e != nil {
		t.refused(r, f, e)
		if r.want != nil {
			r.last = try{} // it is wanted again
		}
	} else {
		done = r.last.err == nil
		t.silent = try{}
		t.released(r)
		r.last, r.seen = try{}, time.Now()
		switch {
		case gone:
			r.live, r.base, r.made, r.drift = nil, nil, "", nil
		case live.UID != d.UID: // another object of that name
			r.live, r.base, r.made, r.drift = live, nil, "", nil
		default:
			r.live = live
		}
	}
	if asked && e == nil {
		a.Log.Info("object pruned", zap.String("app", name), zap.Stringer("object", d.Ref), zap.Bool("gone", gone))
		a.record(federation.Change{Cluster: a.Cluster, App: name, Object: d.Ref, Action: federation.ActionPruned, Took: time.Since(f.since)})
	}
	a.replay(r)
	t.sweep(r)
	return done
}

// refused records a refusal of a row, and the pause that all which are refused for
// the same reason share; t.mu is held.
func (t *table) refused(r *row, f *flight, e *refusal.Error) {
	if e.SaysNothing() {
		return // it is said of the cluster, by examine, or will be asked again
	}
	now := time.Now()
	r.last.failed(now, e, f)
	k := t.kind(r.ref.GroupKind())
	k.hung = e.Class == refusal.ClassTimeout
	if !k.hung {
		delete(t.pauses, refusal.TimeoutReason(r.ref.GroupKind()))
	}
	switch {
	case e.Class == refusal.ClassKind && k.mapping != nil:
		k.mapping, k.last, k.doubted = nil, try{}, true // how it is served has changed
	case e.Class == refusal.ClassNamespace && !t.listings.spaces.done && t.spaces[r.ref.Namespace] != nil:
		t.spaces[r.ref.Namespace].known = false
	}
	if r.last.reason == "" {
		return
	}
	p := t.pauses[r.last.reason]
	if p == nil {
		p = &pause{}
		t.pauses[r.last.reason] = p
	}
	// Those that were under way together are one refusal.
	if p.failures == 0 || !f.since.Before(p.at) {
		p.failures++
	}
	p.at = now
	p.until = now.Add(max(e.RetryAfter, backoff(pauseFirst, p.failures, pauseShared)))
}

// released ends the pause of all that were refused as this row was: it went
// through; t.mu is held.
func (t *table) released(r *row) {
	k := t.kind(r.ref.GroupKind())
	k.hung = false
	delete(t.pauses, refusal.TimeoutReason(r.ref.GroupKind()))
	if e := r.last.err; e != nil {
		delete(t.pauses, r.last.reason)
		t.release(func(o *row) bool { return o.last.reason == r.last.reason && o.last.err.Class == e.Class })
		for _, a := range t.apps {
			if a.last.err != nil && a.last.err.Class == e.Class {
				a.last.at = time.Time{}
			}
		}
	}
}

// release has the refusals of rows count no longer.
func (t *table) release(which func(*row) bool) {
	for _, r := range t.rows {
		if r.last.err != nil && which(r) {
			r.last.at = time.Time{}
		}
	}
}

// changed records what was done for the plan's revision; t.mu is held.
func (t *table) changed(c federation.Change) {
	if c.Action == federation.ActionUnchanged {
		return
	}
	t.changes[c.Object] = c
}

// examine looks, after a request that got no answer, whether the API server answers
// at all. A webhook that hangs holds up the objects that it judges, and an API
// server that hangs holds up the cluster. It makes a timeout of e where the server
// answers otherwise, and notes the silence where it does not.
func (a *Applier) examine(ctx context.Context, e *refusal.Error, cause error, f *flight) {
	switch e.Class { //nolint:exhaustive // the others are answers
	case refusal.ClassUnreachable:
		if ctx.Err() != nil {
			return
		}
		if errors.Is(cause, context.DeadlineExceeded) && a.writer.Answers(ctx) {
			e.Class, e.RetryAfter = refusal.ClassTimeout, 0
			e.Err = errors.New("no answer within " + a.RequestTimeout.String() + ", although the API server answers other requests: a webhook may hang")
			e.Remedy = "look at the webhooks that judge this kind: kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
			return
		}
	case refusal.ClassThrottled, refusal.ClassCredentials:
	case refusal.ClassCanceled, refusal.ClassFenced:
		return
	default:
		a.heard()
		return
	}
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.incarnation != t.incarnation {
		return
	}
	// Those that were under way together are one silence.
	if before := t.silent; before.err != nil && f.since.Before(before.at) {
		before.failures--
		t.silent = before
	}
	t.silent.failed(time.Now(), e, f)
}

// ask looks whether the API server answers, when there is nothing else to ask it.
func (a *Applier) ask(ctx context.Context, f *flight) {
	ref := federation.ObjectRef{Name: federation.SystemNamespace}
	_, err := a.writer.Get(ctx, object.Namespaces, ref)
	if err == nil {
		a.heard()
	} else {
		e := refusal.New("read", federation.ObjectRef{Kind: "Namespace", Name: federation.SystemNamespace}, "", err)
		if e.Class == refusal.ClassUnreachable { // nothing would answer examine either
			t := a.table
			t.mu.Lock()
			t.silent.failed(time.Now(), e, f)
			t.mu.Unlock()
		} else {
			a.examine(ctx, e, err, f)
		}
	}
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asking = nil
}

// heard notes that the API server answers.
func (a *Applier) heard() {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.silent = try{}
}
