package table

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/agenda"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Task is a task under way: what is known for it, and what waits for its end.
type Task struct {
	Type agenda.Type

	Known    write.Known          // Put, Park
	Used     map[int32]bool       // Park: the node ports that our Services hold or should get
	Held     map[object.Port]bool // Park: those that our other Services hold
	Deletion write.Deletion       // Remove

	Versions map[schema.GroupKind]string // Learn: the kinds, each with the version in the plan; empty for the preferred one
	Fresh    bool                        // Learn: what is known about how kinds are served may be wrong
	Space    string                      // FindNamespace: the name of the namespace
	Create   bool                        // FindNamespace: create it if it is missing
	App      string                      // Widen, Narrow
	Wish     write.ParentWish            // Widen, Narrow

	row    *state.Row
	app    *state.App
	flight *state.Flight
	asked  map[schema.GroupKind]state.DefinitionMark
}

// maxFlights bounds all requests under way, slow ones included, as a multiple of the
// limit for those that are not slow.
const maxFlights = 4

// Backlog is the rest of an agenda. It is valid as long as only its own tasks change
// the state.
type Backlog struct {
	turn  uint64 // of the table when the agenda was computed
	tasks []agenda.Item
	until time.Time // when it is computed again; zero means never
}

// Begin marks the tasks that start now as under way, so many that at most limit requests
// that are not slow are under way. It also returns when to call it again; zero means
// never. While writes are not allowed, only kinds are asked for.
func (t *Table) Begin(work *Backlog, now time.Time, limit int, mayWrite bool) ([]*Task, time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !mayWrite {
		work.tasks = nil // Wake is called when writes are allowed again
	}
	fresh, all := flights(t.s, now)
	free := min(limit-fresh, maxFlights*limit-all)
	if free <= 0 {
		return nil, nextSlow(t.s, now)
	}
	turn := t.turn.Load()
	if work.turn != turn || len(work.tasks) == 0 || !work.until.IsZero() && !now.Before(work.until) {
		plan := agenda.At(t.s, now)
		if !mayWrite {
			plan.Tasks = slices.DeleteFunc(plan.Tasks, func(x agenda.Item) bool { return x.Type != agenda.Learn })
		}
		*work = Backlog{turn: turn, tasks: plan.Tasks, until: plan.Next}
		// By then a slow request counts as tried.
		if slowAt := now.Add(state.Slow); len(plan.Tasks) > 0 && (work.until.IsZero() || slowAt.Before(work.until)) {
			work.until = slowAt
		}
	}
	n := min(len(work.tasks), free)
	var begun []*Task
	for _, x := range work.tasks[:n] {
		begun = append(begun, start(t.s, x, now))
	}
	work.tasks = work.tasks[n:]
	return begun, work.until
}

// start marks a task as under way.
func start(s *state.State, x agenda.Item, now time.Time) *Task {
	f := &state.Flight{Since: now, Incarnation: s.Incarnation}
	out := &Task{Type: x.Type, row: x.Row, app: x.App, flight: f, Space: x.Space}
	if r := x.Row; r != nil {
		f.Around = s.Around(r)
		r.Flight = f
	}
	switch x.Type {
	case agenda.Put:
		out.Known = knownOf(s, x.Row)
	case agenda.Park:
		out.Known, out.Used, out.Held = knownOf(s, x.Row), usedPorts(s), heldByOthers(s, x.Row.Ref)
	case agenda.Remove:
		r := x.Row
		out.Deletion = write.Deletion{
			Ref: r.Ref, Resource: r.Resource, UID: r.Live.UID, Version: r.Live.Version, PartOf: r.Live.PartOf,
			Sets: slices.Sorted(maps.Keys(s.Sets)),
		}
	case agenda.Learn:
		out.Versions, out.asked, out.Fresh = startLearning(s, x.Kinds, f)
	case agenda.FindNamespace:
		s.Space(x.Space).Flight = f
		out.Create = s.MayCreate(x.Space)
	case agenda.Widen, agenda.Narrow:
		x.App.Flight = f
		out.App, out.Wish = x.App.Name, s.ParentWish(x.App, x.Type == agenda.Narrow)
	case agenda.Ask:
		s.Asking = f
	}
	return out
}

// flights counts the requests under way, and those of them that are not slow.
func flights(s *state.State, now time.Time) (fresh, all int) {
	s.EachFlight(func(f *state.Flight) {
		all++
		if now.Before(f.Since.Add(state.Slow)) {
			fresh++
		}
	})
	return fresh, all
}

// nextSlow returns when the next request under way will be slow.
func nextSlow(s *state.State, now time.Time) time.Time {
	var next time.Time
	s.EachFlight(func(f *state.Flight) {
		if at := f.Since.Add(state.Slow); now.Before(at) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	})
	return next
}

// usedPorts returns the node ports that our Services hold or should get.
func usedPorts(s *state.State) map[int32]bool {
	used := map[int32]bool{}
	for _, r := range s.Rows {
		if r.Ref.GroupKind() != object.ServiceKind {
			continue
		}
		if r.Live != nil {
			for _, port := range r.Live.Ports {
				used[port.Number] = true
			}
		}
		if r.Want != nil {
			for _, port := range r.Want.NodePorts() {
				used[port.Number] = true
			}
		}
	}
	return used
}

// heldByOthers returns the node ports that our other Services hold.
func heldByOthers(s *state.State, ref federation.ObjectRef) map[object.Port]bool {
	held := map[object.Port]bool{}
	for port, rows := range s.PortHolders() {
		for _, r := range rows {
			held[port] = held[port] || r.Ref != ref
		}
	}
	return held
}

// knownOf returns what the table knows about a row.
func knownOf(s *state.State, r *state.Row) write.Known {
	k := write.Known{Desired: r.Want, Resource: s.Kind(r.Ref.GroupKind()).Mapping.Resource, Sets: map[string]bool{}}
	k.Resource.Version = r.Want.Object.Version
	for set := range s.Sets {
		k.Sets[set] = true
	}
	if r.Base != nil {
		k.Base = r.Base.UID
	}
	if r.Drift != nil {
		k.Drift = r.Drift.Text
	}
	if v := r.Live; v != nil {
		k.Ours = v.Owned && k.Sets[v.PartOf]
		k.ReleasesReplicas = k.Ours && k.LeavesReplicas() && v.Owns(object.ReplicasPath)
		k.Live, k.Version = v.UID, v.Version
	}
	return k
}

// startLearning marks kinds as asked for. It returns the versions to ask for, empty for
// the preferred ones, and the state of the kinds' definitions. Fresh means that the
// known mappings may be of another cluster, or that an answer contradicted them.
func startLearning(s *state.State, kinds []schema.GroupKind, f *state.Flight) (versions map[schema.GroupKind]string, asked map[schema.GroupKind]state.DefinitionMark, fresh bool) {
	fresh = s.Mapped != s.Incarnation
	s.Mapped = s.Incarnation
	versions, asked = map[schema.GroupKind]string{}, map[schema.GroupKind]state.DefinitionMark{}
	for _, gk := range kinds {
		k := s.Kind(gk)
		k.Flight = f
		versions[gk], asked[gk] = k.Version, s.Definition(gk)
		fresh = fresh || k.Doubted
	}
	return versions, asked, fresh
}
