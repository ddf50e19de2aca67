package apply

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// wide reports whether the app's parent bears our name and lists every kind and
// namespace of the app.
func (t *table) wide(a *app) bool {
	p := a.parent
	return p != nil && p.Refused == nil && p.Instance == t.instance && p.Source == t.source && p.Covers(a.has)
}

// listedKinds are the kinds that the inventories list.
func (t *table) listedKinds() []schema.GroupKind {
	var out []schema.GroupKind
	for _, a := range t.apps {
		if !a.parent.Exists() {
			continue
		}
		for gk := range a.parent.Kinds {
			out = append(out, gk)
		}
	}
	slices.SortFunc(out, compareKinds)
	return slices.Compact(out)
}

func compareKinds(a, b schema.GroupKind) int {
	return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Kind, b.Kind))
}

// parentWish is what the app's parent is to list: all that the app has besides what
// it lists already or, where exact, that alone; t.mu is held.
func (t *table) parentWish(a *app, exact bool) write.ParentWish {
	var left inventory.Contents // what is there and no longer wanted
	if !exact {
		for _, r := range t.rows {
			if name, ok := t.ownerOf(r); !ok || name != a.name || r.want != nil || r.ref.GroupKind() == object.NamespaceKind {
				continue
			}
			left.Add(r.ref)
		}
	}
	w := write.ParentWish{Contents: a.has.Union(left), As: t.instance, Exact: exact, Known: a.parent}
	w.Ended, w.Jobs, w.JustJobs = t.jobsOf(a)
	return w
}

// What is done to a parent, besides claiming it.
const (
	verbNarrow = "narrow"
	verbRecord = "record"
)

// writeInventory sees to it that the app's parent lists what it is to.
func (a *Applier) writeInventory(ctx context.Context, of *app, w write.ParentWish, f *flight) {
	ref := federation.ObjectRef{Kind: "ConfigMap", Namespace: federation.SystemNamespace, Name: inventory.ParentName(a.Federation, of.name)}
	var p *write.Parent
	var err error
	verb := "claim"
	switch {
	case w.Exact:
		verb = verbNarrow
	case w.Known.Exists() && w.Known.Instance == w.As && w.Known.Covers(w.Contents):
		verb = verbRecord
	}
	if w.Exact && len(w.Contents.Kinds) == 0 {
		p, err = a.writer.DeleteParent(ctx, of.name, w.Known)
	} else {
		p, err = a.writer.WriteParent(ctx, of.name, w)
	}
	var e *refusal.Error
	if err != nil {
		e = refusal.New(verb, ref, "", err)
		a.examine(ctx, e, err, f)
	}
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	of.flight = nil
	if f.incarnation != t.incarnation {
		return
	}
	if p != nil || err == nil {
		t.takeParent(of, p)
	}
	switch {
	case e == nil:
		of.last, t.silent = try{}, try{}
	case e.SaysNothing():
	default:
		of.last.failed(time.Now(), e, f)
	}
}

// takeParent takes what was read or written of a parent, unless something newer is
// known already; t.mu is held.
func (t *table) takeParent(a *app, p *write.Parent) {
	t.sets[inventory.PartOf(t.federation, a.name)] = a.name
	if p != nil && a.parent != nil && a.parent.UID == p.UID && object.Newer(a.parent.ResourceVersion, p.ResourceVersion) {
		return
	}
	isNew := a.parent == nil && p != nil
	a.parent = p
	t.forgetRecorded(a)
	if isNew && len(p.Ended) > 0 {
		for _, r := range t.rows {
			t.recall(r, a)
		}
	}
}

// parentsApp returns the app whose parent the event is about; empty if it is about
// none of this federation.
func (a *Applier) parentsApp(e Event) string {
	if e.Resource != object.ConfigMaps {
		return ""
	}
	return inventory.AppOf(a.Federation, e.Object)
}

// observeParent takes an event of the app's parent; t.mu is held.
func (a *Applier) observeParent(app string, e Event, p *write.Parent) {
	t := a.table
	of := t.app(app)
	switch {
	case of.flight != nil && of.parent != nil && p != nil && !object.Newer(p.ResourceVersion, of.parent.ResourceVersion):
		return
	case !e.Deleted:
		t.takeParent(of, p)
	case of.parent != nil && (of.parent.UID == e.Object.GetUID() || e.Object.GetUID() == ""):
		of.parent = nil // its kinds are known from the rows; what left has its label
	}
}
