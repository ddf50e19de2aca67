package agenda

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// What an object depends on: its kind, its namespace, and the inventory of its app.

const (
	// listPatience is how long a kind that is not listed delays later kinds.
	listPatience = 2 * time.Second
	// establishTries is how often a kind is asked for, with growing pauses, before the
	// objects that depend on its definition count as tried: about ten seconds.
	establishTries = 7
)

// ground judges what a row depends on: its kind, its namespace and its inventory.
func (x *computation) ground(r *state.Row, k *state.Kind) (standing, time.Time) {
	gk := r.Ref.GroupKind()
	if k.Mapping == nil {
		return x.unknownKind(gk, k)
	}
	if s, until := x.namespace(r); s != due {
		return s, until
	}
	return x.inventory(x.App(r.Want.App))
}

// inventory judges the inventory that should list an object.
func (x *computation) inventory(a *state.App) (standing, time.Time) {
	switch {
	case a.Parent.Refusal() != nil:
		return waiting, time.Time{}
	case x.isWide(a), a.Last.Err != nil && a.Last.Err.LeavesNoInventory():
		return due, time.Time{} // better without an inventory than not applied
	case a.Flight != nil:
		x.underWay = true
		if slowAt := a.Flight.Since.Add(state.Slow); a.Last.Err == nil && x.now.Before(slowAt) {
			return pending, slowAt
		}
		return waiting, time.Time{}
	case a.Last.Err != nil:
		x.final = x.final && a.Last.Err.NeedsIntervention()
		return waiting, time.Time{}
	}
	return pending, time.Time{} // inventories schedules the write
}

// inventories finds the parents that do not list everything their apps have, or bear
// another instance's name. Objects about to leave count: they may have been applied
// while no inventory could be written.
func (x *computation) inventories() {
	for _, a := range x.SortedApps() {
		left := x.Leaving(a, x.tally(a.Name).Leaving)
		if len(a.Has.Kinds) == 0 && (!a.Named || !a.Parent.Exists() && len(left) == 0) {
			continue // there is nothing to list
		}
		if a.Parent.Refusal() != nil || a.Flight != nil || x.isWide(a) && (!a.Named || state.ListsAll(a.Parent, left)) {
			continue
		}
		if end := x.Since.Add(x.ListTimeout); !x.Listings.Parents.Done && x.Listings.Parents.Err == nil && x.now.Before(end) {
			x.holds = true
			x.wake(end)
			continue
		}
		if a.Last.Err == nil {
			x.holds = true
			x.widen = append(x.widen, a)
			continue
		}
		x.againAt(a.Last, Item{Type: Widen, App: a})
	}
}

// isWide caches Wide per app.
func (x *computation) isWide(a *state.App) bool {
	wide, ok := x.wides[a]
	if !ok {
		wide = x.Wide(a)
		x.wides[a] = wide
	}
	return wide
}

// unknownKind judges a row whose kind has no mapping yet.
func (x *computation) unknownKind(gk schema.GroupKind, k *state.Kind) (standing, time.Time) {
	defined := x.defines[gk] // atRest where the plan has no definition
	switch {
	case x.learning != nil:
		x.underWay = true // one request at a time: kinds not in this one are in the next
		if slowAt := x.learning.Since.Add(state.Slow); k.Last.Err == nil && x.now.Before(slowAt) {
			return pending, slowAt
		}
		return waiting, time.Time{}
	case k.Last.Err == nil || k.Asked != x.Definition(gk):
		x.learn = append(x.learn, gk)
		return pending, time.Time{}
	case defined == busy || defined == due || defined == pending:
		return pending, time.Time{} // the definition is about to be applied
	}
	until := k.Last.Until(state.PauseShared)
	brought := defined == atRest && x.Rows[x.Defined[gk]] != nil
	if brought {
		until = k.Last.At.Add(state.Backoff(pauseDefined, k.Last.Failures, state.PauseShared))
	}
	if !x.now.Before(until) {
		x.learn = append(x.learn, gk)
		until = time.Time{}
	}
	if brought && k.Last.Failures < establishTries {
		return pending, until
	}
	return waiting, until
}

// namespace judges the namespace that a row is in.
func (x *computation) namespace(r *state.Row) (standing, time.Time) {
	name := r.Ref.Namespace
	if name == "" {
		return due, time.Time{}
	}
	s := x.Space(name)
	if s.Known && s.Terminating && x.Listings.Spaces.Done {
		x.final = false
		return waiting, time.Time{} // an event follows when it is gone
	}
	if x.State.Rows[federation.ObjectRef{Kind: "Namespace", Name: name}].Wanted() {
		return due, time.Time{}
	}
	switch {
	case s.Known && s.Exists && !s.Terminating:
		return due, time.Time{}
	case s.Flight != nil:
		x.underWay = true
		if slowAt := s.Flight.Since.Add(state.Slow); s.Last.Err == nil && !s.Known && x.now.Before(slowAt) {
			return pending, slowAt
		}
		return waiting, time.Time{}
	case s.Known && (s.Terminating || !x.MayCreate(name)):
		// It is missing, and an event follows when it exists. Without a watch it is
		// read.
		x.final = x.final && !s.Terminating
		if until := s.At.Add(state.PauseShared); x.Listings.Spaces.Done {
			return waiting, time.Time{}
		} else if x.now.Before(until) {
			return waiting, until
		}
		x.search(name)
		return waiting, time.Time{}
	case !s.Known && x.Listings.Spaces.Err == nil && !x.Listings.Spaces.Done && x.now.Before(x.Since.Add(x.ListTimeout)):
		return pending, x.Since.Add(x.ListTimeout)
	case s.Last.Err != nil:
		x.final = x.final && s.Last.Err.NeedsIntervention()
		if !x.isSearched(name) {
			x.againAt(s.Last, Item{Type: FindNamespace, Space: name})
		}
		return waiting, time.Time{}
	}
	x.search(name)
	return pending, time.Time{}
}

func (x *computation) search(name string) {
	if !slices.Contains(x.spaces, name) {
		x.spaces = append(x.spaces, name)
	}
}

// isSearched reports whether a task for the namespace exists already.
func (x *computation) isSearched(name string) bool {
	return slices.ContainsFunc(x.retries, func(r retry) bool { return r.task.Type == FindNamespace && r.task.Space == name })
}

// listed judges whether the live objects of a kind are known. A kind that is not listed
// in time is read object by object.
func (x *computation) listed(k *state.Kind) (standing, time.Time) {
	l := x.List(k)
	if l.Done || l.Err != nil {
		return due, time.Time{}
	}
	since := state.Latest(k.Since, l.Since)
	switch end, patience := since.Add(x.ListTimeout), since.Add(listPatience); {
	case !x.now.Before(end):
		return due, time.Time{}
	case !x.now.Before(patience):
		return waiting, end
	default:
		return pending, patience
	}
}

// groundwork returns the tasks that come before those of objects.
func (x *computation) groundwork() []Item {
	var tasks []Item
	x.learnInventory()
	if len(x.learn) > 0 {
		slices.SortFunc(x.learn, func(a, b schema.GroupKind) int {
			return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind))
		})
		tasks = append(tasks, Item{Type: Learn, Kinds: slices.Compact(x.learn)})
	}
	for _, name := range x.spaces {
		tasks = append(tasks, Item{Type: FindNamespace, Space: name})
	}
	for _, a := range x.widen {
		tasks = append(tasks, Item{Type: Widen, App: a})
	}
	return tasks
}

// learnInventory asks for the kinds that the inventories list and the plan does not:
// objects to prune are seen only where their kind is watched.
func (x *computation) learnInventory() {
	for _, gk := range x.ListedKinds() {
		k := x.Kind(gk)
		switch {
		case k.Mapping != nil || x.learning != nil:
		case k.Last.Err == nil || !x.now.Before(k.Last.Until(state.PauseShared)):
			x.learn = append(x.learn, gk)
		default:
			x.wake(k.Last.Until(state.PauseShared))
		}
	}
}
