package apply

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

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
	// deletion found by listing anew. Empty stands for the object's own.
	ResourceVersion string
}

// Drift says what is to be done about an Event.
type Drift struct {
	Object federation.ObjectRef
	// Repair says that Repair should be called now.
	Repair bool
	// Text says what somebody else changed, as in "spec.ports by kubectl-edit";
	// empty where the object is as it should be.
	Text string
	// Findings says that Findings gives something else than before.
	Findings bool
}

// record is what is known of one object.
type record struct {
	resource schema.GroupVersionResource
	live     *view  // nil where it does not exist, as far as we know
	base     *view  // what the API server answered to our apply, or was found to be as good
	want     string // what base came from; empty where that is not known

	inFlight bool   // a request of ours is under way: events wait for its answer
	queued   *Event // the newest of those

	drift   *drift // what somebody else changed since base
	flips   []flip
	fight   *fight
	problem *Error // why the last try failed
}

// drift is a change by somebody else.
type drift struct {
	text  string
	paths []string
	by    string
}

func (r *record) partOf() string {
	if r.live == nil {
		return ""
	}
	return r.live.partOf
}

// Observe takes one event of the watches and says what is to be done about it.
// It makes no request and waits for none.
func (a *Applier) Observe(e Event) Drift {
	ref := federation.RefOf(e.Object)
	if e.ResourceVersion == "" {
		e.ResourceVersion = e.Object.GetResourceVersion()
	}
	if a.isParent(e) {
		return a.observeParent(ref, e)
	}
	var v view
	if !e.Deleted {
		v = a.hasher.viewOf(e.Object)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	rec := a.objects[ref]
	if rec == nil {
		if e.Deleted || v.partOf == "" {
			return Drift{Object: ref}
		}
		rec = &record{resource: e.Resource}
		a.objects[ref] = rec
	}
	if rec.inFlight {
		if rec.queued == nil || newer(e.ResourceVersion, rec.queued.ResourceVersion) {
			rec.queued = &e
		}
		return Drift{Object: ref}
	}
	return a.judge(ref, rec, e, v)
}

// Listed says that the initial list of the kind has been observed as a whole.
// Objects that a later list misses are observed as deleted.
func (a *Applier) Listed(gvr schema.GroupVersionResource) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listed[gvr] = true
}

// Unlisted says that the kind can no longer be watched: what is known of its
// objects may be old, and none is pruned.
func (a *Applier) Unlisted(gvr schema.GroupVersionResource) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.listed, gvr)
}

// Due gives the objects that Repair would see to now, and when to ask again:
// at the zero time only after another event.
func (a *Applier) Due(now time.Time) (refs []federation.ObjectRef, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ref, rec := range a.objects {
		switch {
		case rec.drift == nil || a.desired[ref] == nil:
		case rec.stopped(now):
			if next.IsZero() || rec.fight.until.Before(next) {
				next = rec.fight.until
			}
		default:
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, federation.ObjectRef.Compare)
	return refs, next
}

// judge compares a state of an object with what our apply made of it; a.mu is
// held.
func (a *Applier) judge(ref federation.ObjectRef, rec *record, e Event, v view) Drift {
	out := Drift{Object: ref}
	if rec.base != nil && !newer(e.ResourceVersion, rec.base.version) {
		return out // it happened before our apply
	}
	if rec.live != nil && e.ResourceVersion != rec.live.version && !newer(e.ResourceVersion, rec.live.version) {
		return out // we know better
	}
	if e.Deleted {
		rec.live = nil
		if a.desired[ref] == nil {
			delete(a.objects, ref)
			return out
		}
		if rec.want == "" {
			return out // the next apply sees to it
		}
		return a.noteDrift(ref, rec, drift{text: "deleted, or its label removed", paths: []string{"the object"}, by: "somebody"})
	}
	out.Findings = foreignOf(rec.live) != foreignOf(&v)
	rec.live = &v
	if a.desired[ref] == nil || rec.want == "" || v.terminating {
		return out
	}
	d, ok := driftOf(rec.base, v, e.Object)
	if !ok {
		out.Findings = out.Findings || rec.drift != nil
		rec.drift = nil // whoever changed it changed it back
		return out
	}
	noted := a.noteDrift(ref, rec, d)
	noted.Findings = noted.Findings || out.Findings
	return noted
}

// driftOf says what somebody else changed between base and live.
func driftOf(base *view, live view, object *unstructured.Unstructured) (drift, bool) {
	changed := changedFields(*base, live)
	if changed == nil && live.partOf == base.partOf && live.owned {
		return drift{}, false
	}
	var d drift
	for _, p := range changed {
		d.paths = append(d.paths, pathText(p))
	}
	if len(d.paths) == 0 {
		d.paths = []string{"metadata.managedFields"}
	}
	d.by = culprit(object.GetManagedFields(), changed, live.owned && live.fields == base.fields)
	d.text = describe(d.paths) + " by " + d.by
	return d, true
}

// describe names a few paths and counts the rest.
func describe(paths []string) string {
	const shown = 3
	if len(paths) <= shown {
		return strings.Join(paths, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(paths[:shown], ", "), len(paths)-shown)
}

// noteDrift remembers the drift until it is repaired, and looks whether it has
// become a fight; a.mu is held.
func (a *Applier) noteDrift(ref federation.ObjectRef, rec *record, d drift) Drift {
	now := time.Now()
	isNew := rec.drift == nil
	rec.drift = &d
	stoppedBefore := rec.stopped(now)
	if isNew && !stoppedBefore {
		rec.flip(now, d)
	}
	stopped := rec.stopped(now)
	return Drift{Object: ref, Repair: !stopped, Text: d.text, Findings: stopped != stoppedBefore}
}

// foreignOf is comparable where a slice is not.
func foreignOf(v *view) string {
	if v == nil {
		return ""
	}
	var b strings.Builder
	for _, f := range v.foreign {
		b.WriteString(f.path + "\x00" + f.manager + "\x00")
	}
	return b.String()
}

func (a *Applier) foreignFindings(d *desired, rec *record) []federation.Finding {
	if rec.live == nil || len(rec.live.foreign) == 0 {
		return nil
	}
	var parts []string
	for _, f := range rec.live.foreign {
		parts = append(parts, fmt.Sprintf("%s by %s", f.path, f.manager))
	}
	return []federation.Finding{{
		ID: "foreign", Severity: federation.SeverityWarning, Cluster: a.Cluster, App: d.app,
		Object: d.object.Ref, File: d.object.File,
		Message: "beside what Git says there is: " + strings.Join(parts, ", "),
		Remedy:  "put it into Git, or remove it in the cluster; fedsync leaves it",
	}}
}
