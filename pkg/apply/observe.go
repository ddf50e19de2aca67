package apply

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Event is what a watch says of one object: of those that bear the label
// applyset.kubernetes.io/part-of, and of the federation's parents
// (ParentSelector). The object is whole, with its managed fields.
type Event struct {
	Resource schema.GroupVersionResource
	Object   *unstructured.Unstructured // not changed, and not kept
	// Deleted says that the object is gone, or is no longer selected.
	Deleted bool
	// ResourceVersion is that of the list which no longer had the object, for a
	// deletion found by another list. Empty stands for the object's own.
	ResourceVersion string
}

// Drift says what is to be done about an Event.
type Drift struct {
	Object federation.ObjectRef
	// Repair says that it is to be put right, and that this is news.
	Repair bool
	// Text says what somebody else changed, as in "spec.ports by kubectl-edit";
	// empty where the object is as it should be.
	Text string
	// Findings says that Findings gives something else than before.
	Findings bool
}

// drift is a change by somebody else.
type drift struct {
	text  string
	paths []string
	by    string
}

// Observe takes one event of the watches and says what is to be done about it.
// It makes no request and waits for none.
func (a *Applier) Observe(e Event) Drift {
	ref := federation.RefOf(e.Object)
	if e.ResourceVersion == "" {
		e.ResourceVersion = e.Object.GetResourceVersion()
	}
	t := a.table
	if app := a.parentsApp(e); app != "" {
		var p *write.Parent
		if !e.Deleted {
			p = a.writer.ParentOf(app, e.Object)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		a.observeParent(app, e, p)
		a.Wake()
		return Drift{Object: ref, Findings: true}
	}
	var v object.Live
	if !e.Deleted {
		v = t.reader.Live(e.Object)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rows[ref]
	if r == nil {
		if e.Deleted || v.PartOf == "" {
			return Drift{Object: ref}
		}
		r = t.row(ref)
	}
	if r.resource.Empty() {
		r.resource = e.Resource
	}
	if r.flight != nil {
		if r.queued == nil || object.Newer(e.ResourceVersion, r.queued.ResourceVersion) {
			r.queued = &e
		}
		return Drift{Object: ref}
	}
	d := a.judge(r, e, v)
	t.sweep(r)
	return d
}

// Listing is what a consistent list said.
type Listing struct {
	Asked   time.Time                          // before the request was sent
	Objects map[types.NamespacedName]types.UID // all that there were
}

// Listed says that the list of a kind has been observed as a whole. It is the truth
// about what was known when it was asked for: what it lacks is gone, or no longer
// bears our label. A nil listing says no more than that the list is there.
func (a *Applier) Listed(gvr schema.GroupVersionResource, l *Listing) {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lists[gvr.GroupResource()] = listing{done: true}
	defer a.Wake()
	if l == nil {
		return
	}
	for _, r := range t.sorted() {
		if r.live == nil || r.flight != nil || r.resource.GroupResource() != gvr.GroupResource() || !r.seen.Before(l.Asked) {
			continue
		}
		uid, there := l.Objects[types.NamespacedName{Namespace: r.ref.Namespace, Name: r.ref.Name}]
		if !there || uid != r.live.UID {
			a.lost(r)
			t.sweep(r)
		}
	}
}

// Unlisted says that the kind is not seen, and why: what is known of its objects
// may be old, and none is pruned. A nil error says that it is about to be listed.
func (a *Applier) Unlisted(gvr schema.GroupVersionResource, err error) {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	l := listing{err: err}
	if err == nil {
		l.since = time.Now()
	}
	t.lists[gvr.GroupResource()] = l
	a.Wake()
}

// ParentsListed says whether the inventories' parents are seen, and if not, why:
// with neither they are about to be.
func (a *Applier) ParentsListed(done bool, err error) {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if !done && err == nil && t.listings.parents.done {
		t.since = time.Now()
	}
	t.listings.parents = listing{done: done, err: err}
	a.Wake()
}

// ParentsRead takes a consistent list of the parents: what it lacks is gone.
func (a *Applier) ParentsRead(l *Listing) {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, of := range t.apps {
		if of.flight != nil || of.parent == nil || !of.parent.Seen.Before(l.Asked) {
			continue
		}
		uid, there := l.Objects[types.NamespacedName{Namespace: federation.SystemNamespace, Name: inventory.ParentName(a.Federation, of.name)}]
		if !there || uid != of.parent.UID {
			of.parent = nil
		}
	}
	t.listings.parents = listing{done: true}
	a.Wake()
}

// ObserveNamespace takes an event of the watch of all namespaces.
func (a *Applier) ObserveNamespace(u *unstructured.Unstructured, deleted bool) {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.space(u.GetName())
	before := *s
	if deleted {
		*s = space{known: true, flight: s.flight}
	} else {
		s.observe(t.reader.Hasher, u)
		s.last = try{}
	}
	if s.known != before.known || s.exists != before.exists || s.mark != before.mark {
		a.Wake()
	}
}

// NamespacesListed says whether the namespaces are seen, and if not, why.
func (a *Applier) NamespacesListed(done bool, l *Listing, err error) {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listings.spaces = listing{done: done, err: err}
	for name, s := range t.spaces {
		switch {
		case !done:
			s.known = false // it may be gone by now: a look tells
		case s.flight == nil:
			s.known = true
			if l != nil {
				if _, there := l.Objects[types.NamespacedName{Name: name}]; !there {
					*s = space{known: true}
				}
			}
		}
	}
	a.Wake()
}

// DefinitionsChanged says that the cluster's definitions are others: kinds that
// were not served may be.
func (a *Applier) DefinitionsChanged() {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.kinds {
		if k.mapping == nil && k.last.err != nil {
			k.last.at = time.Time{}
		}
	}
	a.Wake()
}

// lost notes that the object is gone, or no longer bears our label; t.mu is held.
func (a *Applier) lost(r *row) Drift {
	out := Drift{Object: r.ref}
	t := a.table
	known := r.live != nil
	r.live, r.seen, r.adopting = nil, time.Now(), nil
	a.Wake()
	out.Findings = known
	if _, over := t.over(r); over {
		r.drift, r.last = nil, try{}
		return out // a Job that did what it was for
	}
	if r.want == nil || r.made == "" || !known {
		return out // it was not to be, or is due already
	}
	return t.noteDrift(r, drift{text: "deleted, or its label removed", paths: []string{wholeObject}, by: "somebody"})
}

// judge compares a state of an object with what our apply made of it; t.mu is
// held.
func (a *Applier) judge(r *row, e Event, v object.Live) Drift {
	t := a.table
	out := Drift{Object: r.ref}
	if r.base != nil && !object.Newer(e.ResourceVersion, r.base.Version) {
		return out // it happened before our apply
	}
	if r.live != nil && e.ResourceVersion != r.live.Version && !object.Newer(e.ResourceVersion, r.live.Version) {
		return out // we know better
	}
	if e.Deleted {
		if last := t.reader.Live(e.Object); r.live == nil || r.live.UID == last.UID {
			t.noteEnd(r, last) // it may have ended and gone in one event
		}
		return a.lost(r)
	}
	before := r.live
	r.live, r.seen = &v, time.Now()
	t.noteEnd(r, v)
	if before != nil && before.End != v.End {
		a.Wake()
	}
	changed := before == nil || before.Mark() != v.Mark()
	if changed || before.Established != v.Established || !slices.Equal(before.Ports, v.Ports) {
		a.Wake()
	}
	out.Findings = changed || foreignOf(before) != foreignOf(&v) || !slices.Equal(before.Finalizers, v.Finalizers)
	if r.want == nil || v.Terminating {
		return out
	}
	if r.made == "" {
		if changed {
			t.recognize(r)
		}
		return out
	}
	d, ok := driftOf(r.base, v, e.Object)
	if !ok {
		if r.drift != nil {
			r.drift, r.last, out.Findings = nil, try{}, true // whoever changed it changed it back
			a.Wake()
		}
		return out
	}
	if d.by == ownership.AnotherFedsync {
		a.Overwritten()
	}
	noted := t.noteDrift(r, d)
	noted.Findings = noted.Findings || out.Findings
	return noted
}

// recognize looks whether an object, of which it is not known what it was made
// from, is what Git says; t.mu is held.
func (t *table) recognize(r *row) {
	if r.made != "" || r.live == nil || r.want == nil || r.flight != nil || r.live.PartOf != r.want.PartOf {
		return
	}
	if r.live.Untidy || r.adopting != nil {
		return // there is still something to be done, or said
	}
	if t.reader.Says(*r.live, r.want.Unstructured().Object) {
		r.base, r.made, r.drift, r.last = r.live, r.want.Wish(), nil, try{}
		t.noteEnd(r, *r.live)
	}
}

// driftOf returns what somebody else changed between base and live; false if nothing.
func driftOf(base *object.Live, live object.Live, object *unstructured.Unstructured) (drift, bool) {
	changed := ownership.Compare(base.View, live.View, object.GetManagedFields())
	if changed.Paths == nil && live.PartOf == base.PartOf && live.Owned {
		return drift{}, false
	}
	d := drift{paths: changed.Paths, by: changed.By}
	if len(d.paths) == 0 {
		d.paths = []string{"metadata.managedFields"}
	}
	d.text = untrusted.Line(untrusted.Some(d.paths, 3) + " by " + d.by)
	return d, true
}

// noteDrift remembers the drift until it is repaired, and looks whether it has
// become a fight; t.mu is held.
func (t *table) noteDrift(r *row, d drift) Drift {
	now := time.Now()
	isNew := r.drift == nil
	r.drift = &d
	stoppedBefore := r.stopped(now)
	if isNew && !stoppedBefore {
		r.flip(now, d)
	}
	stopped := r.stopped(now)
	return Drift{Object: r.ref, Repair: isNew && !stopped, Text: d.text, Findings: true}
}

// foreignOf is comparable where a slice is not.
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
