package apply

import (
	"maps"
	"slices"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/write"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// What leaves: objects of an inventory that Git no longer wants.

// ownerOf returns the app whose inventory the object is in: it bears the app's
// label and an entry of ours, and no controller made it. What stands in our own
// namespace is no app's, though an earlier version may have let one write there.
func (t *table) ownerOf(r *row) (name string, ok bool) {
	if r.live == nil || !r.live.Owned || r.live.Controlled || object.IsOurs(r.ref) {
		return "", false
	}
	name, ok = t.sets[r.live.PartOf]
	return name, ok
}

// inventory returns what the cluster has of every app, sorted; an app of which only
// the parent is left, and may be written, is there too. t.mu is held.
func (t *table) inventory() map[string][]federation.ObjectRef {
	out := map[string][]federation.ObjectRef{}
	for name, a := range t.apps {
		if a.parent.Exists() && a.parent.Refused == nil {
			out[name] = []federation.ObjectRef{}
		}
	}
	for ref, r := range t.rows {
		if app, ok := t.ownerOf(r); ok {
			out[app] = append(out[app], ref)
		}
	}
	for _, refs := range out {
		slices.SortFunc(refs, federation.ObjectRef.Compare)
	}
	return out
}

// mayLeave reports whether the row, which nobody wants, may be deleted as far as
// it goes by itself: its kind is in the inventory's list and is seen. A Namespace
// never may, whoever made it.
func (t *table) mayLeave(a *app, r *row) bool {
	if r.ref.GroupKind() == object.NamespaceKind || a.withholds(r.ref) {
		return false
	}
	return a.parent.Exists() && a.parent.Kinds[r.ref.GroupKind()] && t.isListed(r.resource.GroupResource())
}

// withholds reports whether an object is to be left as it is.
func (a *app) withholds(ref federation.ObjectRef) bool {
	return slices.ContainsFunc(a.plan.Withheld, func(w federation.Withheld) bool { return w.Object == ref })
}

// isListed reports whether the resource is seen whole, in any version.
func (t *table) isListed(gr schema.GroupResource) bool { return t.lists[gr].done }

// list is how much is seen of a kind.
func (t *table) list(k *kind) listing {
	if k.mapping == nil {
		return listing{}
	}
	return t.lists[k.mapping.Resource.GroupResource()]
}

// prunes reports whether the plan and the inventory let the app's objects be
// deleted.
func (t *table) prunes(a *app) bool {
	return a.named && a.plan.Prune == federation.PruneAllowed && !t.broken() && t.wide(a)
}

// broken reports whether some app could not be rendered: it may have taken over
// what another gave up.
func (t *table) broken() bool {
	return slices.ContainsFunc(t.plan.Apps, func(p federation.AppPlan) bool { return p.Broken })
}

// whole reports whether all that the app has is in the cluster.
func (x *reckoning) whole(a *app) bool {
	clash := slices.ContainsFunc(x.clashes, func(e *refusal.Error) bool { return e.App == a.name })
	return x.tally(a.name).unsettled == 0 && len(a.plan.Withheld) == 0 && !clash
}

// remove finds the deletions that are due: of an app that is whole, in the reverse
// of the order of applying, and each kind only when those of the kind before are
// gone. They come after all that is to be applied, so that an app that takes over
// from another runs first. A Service that has a port which a new one claims goes
// ahead of all that.
func (x *reckoning) remove() {
	for _, a := range x.sortedApps() {
		if !x.prunes(a) {
			continue
		}
		var leaving []*row
		for _, r := range x.tally(a.name).leaving {
			if x.mayLeave(a, r) {
				leaving = append(leaving, r)
			}
		}
		if len(leaving) == 0 {
			continue
		}
		last := 0
		for _, r := range leaving {
			last = max(last, r.rank)
		}
		inOrder := x.whole(a) && !x.applying
		for _, r := range leaving {
			if inOrder && r.rank == last || x.isClaimed(r) {
				x.removeRow(r)
			}
		}
		if slices.ContainsFunc(leaving, func(r *row) bool { return r.live.Terminating }) {
			x.final = false // it goes by itself, or its finding says who must act
		}
	}
}

func (x *reckoning) removeRow(r *row) {
	switch {
	case r.flight != nil || r.live.Terminating:
	case r.last.err != nil:
		x.final = x.final && r.last.err.ByHand()
		if until := x.retryAt(r); x.now.Before(until) {
			x.wake(until)
		} else if r.last.at.IsZero() || x.hasChanged(r) || !x.trying[r.last.reason] || r.last.reason == "" {
			x.retries = append(x.retries, x.retryOf(task{typ: taskRemove, row: r}))
		}
	default:
		x.holds, x.final = true, false
		x.tasks = append(x.tasks, task{typ: taskRemove, row: r})
	}
}

// sortedApps are the apps by name.
func (t *table) sortedApps() []*app {
	apps := make([]*app, 0, len(t.apps))
	for _, name := range slices.Sorted(maps.Keys(t.apps)) {
		apps = append(apps, t.apps[name])
	}
	return apps
}

// isClaimed reports whether the row is a Service with a node port that another
// one is to have.
func (x *reckoning) isClaimed(r *row) bool {
	if r.ref.GroupKind() != object.ServiceKind {
		return false
	}
	return slices.ContainsFunc(r.live.Ports, func(p object.Port) bool { return x.claimed[p] })
}

// narrow finds the inventories that list more than their apps have.
func (x *reckoning) narrow() {
	if x.applying || len(x.tasks) > 0 {
		return
	}
	for _, a := range x.sortedApps() {
		if !a.named || a.plan.Prune != federation.PruneAllowed || x.broken() || !a.parent.Exists() || a.parent.Refused != nil {
			continue
		}
		if !x.whole(a) || len(x.leaving(a, x.tally(a.name).leaving)) > 0 || len(x.unlisted(a)) > 0 {
			continue
		}
		if !x.isWide(a) || x.isNarrow(a) {
			continue
		}
		switch {
		case a.flight != nil:
			x.underWay = true
		case a.last.err != nil:
			x.againAt(a.last, task{typ: taskNarrow, app: a})
		default:
			x.holds = true
			x.tasks = append(x.tasks, task{typ: taskNarrow, app: a})
		}
	}
}

// leaving returns those of the rows, of the app's inventory and wanted by nobody,
// that are not to stay.
func (t *table) leaving(a *app, rows []*row) []*row {
	var out []*row
	for _, r := range rows {
		if r.ref.GroupKind() != object.NamespaceKind && !a.withholds(r.ref) {
			out = append(out, r)
		}
	}
	return out
}

// listsAll reports whether the parent lists what the rows are.
func listsAll(p *write.Parent, rows []*row) bool {
	return !slices.ContainsFunc(rows, func(r *row) bool { return !p.Lists(r.ref) })
}

// isNarrow reports whether the inventory lists just what the app has.
func (t *table) isNarrow(a *app) bool {
	if len(a.has.Kinds) == 0 {
		return !a.parent.Exists()
	}
	return t.wide(a) && a.parent.ListsJust(a.has)
}

// tallies counts the rows of every app.
func (t *table) tallies() map[string]*appTally {
	out := map[string]*appTally{}
	of := func(name string) *appTally {
		if out[name] == nil {
			out[name] = &appTally{}
		}
		return out[name]
	}
	for _, r := range t.sorted() {
		if r.want != nil {
			of(r.want.App).wanted++
			if !t.settled(r) {
				of(r.want.App).unsettled++
			}
		} else if name, ok := t.ownerOf(r); ok {
			of(name).leaving = append(of(name).leaving, r)
		}
	}
	return out
}

// unlisted returns the kinds of the app's inventory that are not seen whole: what
// there is of them is not known. A kind that the cluster is known not to serve has
// no objects.
func (t *table) unlisted(a *app) []schema.GroupKind {
	if !a.parent.Exists() {
		return nil
	}
	var out []schema.GroupKind
	for gk := range a.parent.Kinds {
		k := t.kinds[gk]
		if k.isGone() || k != nil && k.mapping != nil && t.isListed(k.mapping.Resource.GroupResource()) {
			continue
		}
		out = append(out, gk)
	}
	slices.SortFunc(out, compareKinds)
	return out
}

// blindness returns why a kind cannot be seen, as the cluster says; nil where it can,
// or is about to be.
func (t *table) blindness(gk schema.GroupKind) error {
	k := t.kinds[gk]
	switch {
	case k == nil:
		return nil
	case k.mapping == nil && k.last.err != nil:
		return k.last.err
	}
	return t.list(k).err
}

// isBarred reports whether a kind is not seen because of what somebody decided, by a
// right or by an API without lists. Nothing is waited for then.
func isBarred(blindness error) bool {
	return apierrors.IsForbidden(blindness) || apierrors.IsMethodNotSupported(blindness)
}

// blind returns those of unlisted that cannot be seen, as the cluster says.
func (t *table) blind(a *app) []schema.GroupKind {
	return slices.DeleteFunc(t.unlisted(a), func(gk schema.GroupKind) bool { return t.blindness(gk) == nil })
}

// held reports whether the row, which nobody wants, stays because to delete it would
// delete what is not ours.
func (r *row) held() bool { return r.last.err != nil && r.last.err.Class == refusal.ClassHeld }

// complete reports whether the cluster is as the plan says: everything is applied,
// and what is to go is gone.
func (t *table) complete() bool {
	if len(t.clashes) > 0 || t.silent.err != nil {
		return false
	}
	tallies := t.tallies()
	for _, tally := range tallies {
		if tally.unsettled > 0 {
			return false
		}
	}
	for name, a := range t.apps {
		if !a.named {
			continue
		}
		writable := a.last.err == nil || !a.last.err.LeavesNoInventory()
		if len(a.has.Kinds) > 0 && !t.wide(a) && writable {
			return false
		}
		if a.plan.Prune != federation.PruneAllowed || t.broken() || len(a.plan.Withheld) > 0 || !a.parent.Exists() {
			continue
		}
		var rows []*row
		if tally := tallies[name]; tally != nil {
			rows = tally.leaving
		}
		unlisted := t.unlisted(a)
		switch leaving := t.leaving(a, rows); {
		case slices.ContainsFunc(unlisted, func(gk schema.GroupKind) bool { return !isBarred(t.blindness(gk)) }):
			return false // what there is of them is not known, and will be
		case slices.ContainsFunc(leaving, func(r *row) bool { return !r.held() }):
			return false
		case len(leaving) == 0 && len(unlisted) == 0 && (t.wide(a) || a.parent.Refused == nil && writable) && !t.isNarrow(a):
			return false
		}
	}
	return true
}
