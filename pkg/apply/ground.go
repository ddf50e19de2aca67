package apply

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// What an object stands on: its kind, its namespace, and the inventory of its app.

// ground judges what a row stands on: its kind, its namespace and its inventory.
func (x *reckoning) ground(r *row, k *kind) (standing, time.Time) {
	gk := r.ref.GroupKind()
	if k.mapping == nil {
		return x.unknownKind(gk, k)
	}
	if s, until := x.namespace(r); s != due {
		return s, until
	}
	return x.inventory(x.app(r.want.App))
}

// inventory judges the inventory that an object is to stand in.
func (x *reckoning) inventory(a *app) (standing, time.Time) {
	switch {
	case a.parent.Refusal() != nil:
		return waiting, time.Time{}
	case x.isWide(a), a.last.err != nil && a.last.err.LeavesNoInventory():
		return due, time.Time{} // better without an inventory than not at all
	case a.flight != nil:
		x.underWay = true
		if slowAt := a.flight.since.Add(slow); a.last.err == nil && x.now.Before(slowAt) {
			return pending, slowAt
		}
		return waiting, time.Time{}
	case a.last.err != nil:
		x.final = x.final && a.last.err.ByHand()
		return waiting, time.Time{}
	}
	return pending, time.Time{} // inventories has it written
}

// inventories finds the parents that do not list all that their apps have, or
// bear another name than ours. What is about to leave counts: it may have been
// applied while no inventory could be kept.
func (x *reckoning) inventories() {
	for _, a := range x.sortedApps() {
		left := x.leaving(a, x.tally(a.name).leaving)
		if len(a.has.Kinds) == 0 && (!a.named || !a.parent.Exists() && len(left) == 0) {
			continue // there is nothing to list
		}
		if a.parent.Refusal() != nil || a.flight != nil || x.isWide(a) && (!a.named || listsAll(a.parent, left)) {
			continue
		}
		if end := x.since.Add(x.listTimeout); !x.listings.parents.done && x.listings.parents.err == nil && x.now.Before(end) {
			x.holds = true
			x.wake(end)
			continue
		}
		if a.last.err == nil {
			x.holds = true
			x.widen = append(x.widen, a)
			continue
		}
		x.againAt(a.last, task{typ: taskWiden, app: a})
	}
}

// isWide is wide, once for each app.
func (x *reckoning) isWide(a *app) bool {
	wide, ok := x.wides[a]
	if !ok {
		wide = x.wide(a)
		x.wides[a] = wide
	}
	return wide
}

// unknownKind judges a row of which it is not known how its kind is served.
func (x *reckoning) unknownKind(gk schema.GroupKind, k *kind) (standing, time.Time) {
	defined := x.defines[gk] // atRest where there is no definition in the plan
	switch {
	case x.learning != nil:
		x.underWay = true // one at a time: what is not asked for now is then
		if slowAt := x.learning.since.Add(slow); k.last.err == nil && x.now.Before(slowAt) {
			return pending, slowAt
		}
		return waiting, time.Time{}
	case k.last.err == nil || k.asked != x.definition(gk):
		x.learn = append(x.learn, gk)
		return pending, time.Time{}
	case defined == busy || defined == due || defined == pending:
		return pending, time.Time{} // the definition is about to be applied
	}
	until := k.last.until(pauseShared)
	brought := defined == atRest && x.rowOfDefinition(gk) != nil
	if brought {
		until = k.last.at.Add(backoff(pauseDefined, k.last.failures, pauseShared))
	}
	if !x.now.Before(until) {
		x.learn = append(x.learn, gk)
		until = time.Time{}
	}
	if brought && k.last.failures < establishTries {
		return pending, until
	}
	return waiting, until
}

// namespace judges the namespace that a row is in.
func (x *reckoning) namespace(r *row) (standing, time.Time) {
	name := r.ref.Namespace
	if name == "" {
		return due, time.Time{}
	}
	s := x.space(name)
	if s.known && s.terminating && x.listings.spaces.done {
		x.final = false
		return waiting, time.Time{} // its event tells when it is gone
	}
	if x.table.rows[federation.ObjectRef{Kind: "Namespace", Name: name}].wanted() {
		return due, time.Time{}
	}
	switch {
	case s.known && s.exists && !s.terminating:
		return due, time.Time{}
	case s.flight != nil:
		x.underWay = true
		if slowAt := s.flight.since.Add(slow); s.last.err == nil && !s.known && x.now.Before(slowAt) {
			return pending, slowAt
		}
		return waiting, time.Time{}
	case s.known && (s.terminating || !x.mayCreate(name)):
		// It is missing, and an event tells when it is not; without a watch, a look.
		x.final = x.final && !s.terminating
		if until := s.at.Add(pauseShared); x.listings.spaces.done {
			return waiting, time.Time{}
		} else if x.now.Before(until) {
			return waiting, until
		}
		x.look(name)
		return waiting, time.Time{}
	case !s.known && x.listings.spaces.err == nil && !x.listings.spaces.done && x.now.Before(x.since.Add(x.listTimeout)):
		return pending, x.since.Add(x.listTimeout)
	case s.last.err != nil:
		x.final = x.final && s.last.err.ByHand()
		if !x.looked(name) {
			x.againAt(s.last, task{typ: taskSpace, space: name})
		}
		return waiting, time.Time{}
	}
	x.look(name)
	return pending, time.Time{}
}

func (x *reckoning) look(name string) {
	if !slices.Contains(x.spaces, name) {
		x.spaces = append(x.spaces, name)
	}
}

// looked reports whether the namespace is to be looked for already.
func (x *reckoning) looked(name string) bool {
	return slices.ContainsFunc(x.retries, func(r retry) bool { return r.task.typ == taskSpace && r.task.space == name })
}

// mayCreate reports whether a missing namespace is to be made. Our own is made
// even where others are not to be.
func (t *table) mayCreate(name string) bool {
	return t.plan.CreateNamespaces || name == federation.SystemNamespace
}

// listed judges whether what exists of a kind is known. What has not been listed
// in time is read object by object.
func (x *reckoning) listed(k *kind) (standing, time.Time) {
	l := x.list(k)
	if l.done || l.err != nil {
		return due, time.Time{}
	}
	since := latest(k.since, l.since)
	switch end, patience := since.Add(x.listTimeout), since.Add(listPatience); {
	case !x.now.Before(end):
		return due, time.Time{}
	case !x.now.Before(patience):
		return waiting, end
	default:
		return pending, patience
	}
}

// definition is what is seen of the definition of a kind, where the plan has it.
func (t *table) definition(gk schema.GroupKind) definitionMark {
	d := t.rowOfDefinition(gk)
	if d == nil || d.live == nil {
		return definitionMark{}
	}
	return definitionMark{mark: d.live.Mark(), established: d.live.Established}
}

// groundwork are the tasks that come before those of objects.
func (x *reckoning) groundwork() []task {
	var tasks []task
	x.learnInventory()
	if len(x.learn) > 0 {
		slices.SortFunc(x.learn, func(a, b schema.GroupKind) int {
			return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind))
		})
		tasks = append(tasks, task{typ: taskLearn, kinds: slices.Compact(x.learn)})
	}
	for _, name := range x.spaces {
		tasks = append(tasks, task{typ: taskSpace, space: name})
	}
	for _, a := range x.widen {
		tasks = append(tasks, task{typ: taskWiden, app: a})
	}
	return tasks
}

// learnInventory asks for the kinds that the inventories list and the plan does
// not: what is to be pruned is seen only where they are watched.
func (x *reckoning) learnInventory() {
	for _, gk := range x.listedKinds() {
		k := x.kind(gk)
		switch {
		case k.mapping != nil || x.learning != nil:
		case k.last.err == nil || !x.now.Before(k.last.until(pauseShared)):
			x.learn = append(x.learn, gk)
		default:
			x.wake(k.last.until(pauseShared))
		}
	}
}

// isGone reports whether the cluster is known not to serve the kind.
func (k *kind) isGone() bool {
	return k != nil && k.mapping == nil && k.last.err != nil && meta.IsNoMatchError(k.last.err.Err)
}
