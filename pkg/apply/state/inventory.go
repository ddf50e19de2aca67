package state

import (
	"cmp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Objects of an inventory that Git no longer wants leave.

// OwnerOf returns the app whose inventory the object is in: it bears the app's label
// and an entry of ours, and has no controller. Objects in our own namespace belong to
// no app, although an earlier version may have allowed an app to write there.
func (t *State) OwnerOf(r *Row) (name string, ok bool) {
	if r.Live == nil || !r.Live.Owned || r.Live.Controlled || object.IsOurs(r.Ref) {
		return "", false
	}
	name, ok = t.Sets[r.Live.PartOf]
	return name, ok
}

// MayLeave reports whether the inventory allows the deletion of the row, which Git does
// not want: the inventory lists its kind, and the kind's objects are seen. A Namespace
// is never deleted, whoever created it.
func (t *State) MayLeave(a *App, r *Row) bool {
	if r.Ref.GroupKind() == object.NamespaceKind || a.withholds(r.Ref) {
		return false
	}
	return a.Parent.Exists() && a.Parent.Kinds[r.Ref.GroupKind()] && isListed(t, r.Resource.GroupResource())
}

// isListed reports whether all objects of the resource are seen, in any version.
func isListed(t *State, gr schema.GroupResource) bool { return t.Lists[gr].Done }

// List returns how much of a kind is seen.
func (t *State) List(k *Kind) Listing {
	if k.Mapping == nil {
		return Listing{}
	}
	return t.Lists[k.Mapping.Resource.GroupResource()]
}

// Prunes reports whether the plan and the inventory allow the app's objects to be
// deleted.
func (t *State) Prunes(a *App) bool {
	return a.Named && a.Plan.Prune == federation.PruneAllowed && !t.Broken() && t.Wide(a)
}

// Broken reports whether an app could not be rendered. It may have taken over what
// another app gave up.
func (t *State) Broken() bool {
	return slices.ContainsFunc(t.Plan.Apps, func(p federation.AppPlan) bool { return p.Broken })
}

// Leaving returns those of the rows that have to leave. The rows are of the app's
// inventory and not wanted by Git.
func (t *State) Leaving(a *App, rows []*Row) []*Row {
	var out []*Row
	for _, r := range rows {
		if r.Ref.GroupKind() != object.NamespaceKind && !a.withholds(r.Ref) {
			out = append(out, r)
		}
	}
	return out
}

// ListsAll reports whether the parent lists the kinds and namespaces of the rows.
func ListsAll(p *write.Parent, rows []*Row) bool {
	return !slices.ContainsFunc(rows, func(r *Row) bool { return !p.Lists(r.Ref) })
}

// Wide reports whether the app's parent bears our name and lists every kind and
// namespace of the app.
func (t *State) Wide(a *App) bool {
	p := a.Parent
	return p != nil && p.Refused == nil && p.Instance == t.Instance && p.Source == t.Owner.Source && p.Covers(a.Has)
}

// IsNarrow reports whether the inventory lists exactly what the app has.
func (t *State) IsNarrow(a *App) bool {
	if len(a.Has.Kinds) == 0 {
		return !a.Parent.Exists()
	}
	return t.Wide(a) && a.Parent.ListsExactly(a.Has)
}

// AppTally counts the rows of an app.
type AppTally struct {
	Wanted, Unsettled int
	Leaving           []*Row
}

// Tallies counts the rows of every app.
func (t *State) Tallies() map[string]*AppTally {
	out := map[string]*AppTally{}
	of := func(name string) *AppTally {
		if out[name] == nil {
			out[name] = &AppTally{}
		}
		return out[name]
	}
	for _, r := range t.Sorted() {
		if r.Want != nil {
			of(r.Want.App).Wanted++
			if !t.Settled(r) {
				of(r.Want.App).Unsettled++
			}
		} else if name, ok := t.OwnerOf(r); ok {
			of(name).Leaving = append(of(name).Leaving, r)
		}
	}
	return out
}

// Unlisted returns the kinds of the app's inventory whose objects are not all seen. A
// kind that the cluster does not serve has no objects, and is left out.
func (t *State) Unlisted(a *App) []schema.GroupKind {
	if !a.Parent.Exists() {
		return nil
	}
	var out []schema.GroupKind
	for gk := range a.Parent.Kinds {
		k := t.Kinds[gk]
		if k.IsGone() || k != nil && k.Mapping != nil && isListed(t, k.Mapping.Resource.GroupResource()) {
			continue
		}
		out = append(out, gk)
	}
	slices.SortFunc(out, compareKinds)
	return out
}

// Blindness returns why a kind cannot be seen, according to the cluster. It is nil if
// the kind is seen or about to be.
func (t *State) Blindness(gk schema.GroupKind) error {
	k := t.Kinds[gk]
	switch {
	case k == nil:
		return nil
	case k.Mapping == nil && k.Last.Err != nil:
		return k.Last.Err
	}
	return t.List(k).Err
}

// isBarred reports whether a kind is not seen because somebody decided so, with a
// permission or an API without lists. Waiting does not help then.
func isBarred(blindness error) bool {
	return apierrors.IsForbidden(blindness) || apierrors.IsMethodNotSupported(blindness)
}

// ListedKinds returns the kinds that the inventories list.
func (t *State) ListedKinds() []schema.GroupKind {
	var out []schema.GroupKind
	for _, a := range t.Apps {
		if !a.Parent.Exists() {
			continue
		}
		for gk := range a.Parent.Kinds {
			out = append(out, gk)
		}
	}
	slices.SortFunc(out, compareKinds)
	return slices.Compact(out)
}

func compareKinds(a, b schema.GroupKind) int {
	return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Kind, b.Kind))
}

// Complete reports whether the cluster matches the plan: everything is applied, and
// objects to prune are gone.
func (t *State) Complete() bool {
	if len(t.Clashes) > 0 || t.Silent.Err != nil {
		return false
	}
	tallies := t.Tallies()
	for _, tally := range tallies {
		if tally.Unsettled > 0 {
			return false
		}
	}
	for name, a := range t.Apps {
		if !a.Named {
			continue
		}
		writable := a.Last.Err == nil || !a.Last.Err.LeavesNoInventory()
		if len(a.Has.Kinds) > 0 && !t.Wide(a) && writable {
			return false
		}
		if a.Plan.Prune != federation.PruneAllowed || t.Broken() || len(a.Plan.Withheld) > 0 || !a.Parent.Exists() {
			continue
		}
		var rows []*Row
		if tally := tallies[name]; tally != nil {
			rows = tally.Leaving
		}
		unlisted := t.Unlisted(a)
		switch leaving := t.Leaving(a, rows); {
		case slices.ContainsFunc(unlisted, func(gk schema.GroupKind) bool { return !isBarred(t.Blindness(gk)) }):
			return false // their objects are not known yet, but will be
		case slices.ContainsFunc(leaving, func(r *Row) bool { return !r.held() }):
			return false
		case len(leaving) == 0 && len(unlisted) == 0 && (t.Wide(a) || a.Parent.Refused == nil && writable) && !t.IsNarrow(a):
			return false
		}
	}
	return true
}

// Inventories returns the cluster's objects of every app, sorted. It includes apps of
// which only the parent is left, if that may be written.
func (t *State) Inventories() map[string][]federation.ObjectRef {
	out := map[string][]federation.ObjectRef{}
	for name, a := range t.Apps {
		if a.Parent.Exists() && a.Parent.Refused == nil {
			out[name] = []federation.ObjectRef{}
		}
	}
	for ref, r := range t.Rows {
		if app, ok := t.OwnerOf(r); ok {
			out[app] = append(out[app], ref)
		}
	}
	for _, refs := range out {
		slices.SortFunc(refs, federation.ObjectRef.Compare)
	}
	return out
}
