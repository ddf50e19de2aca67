package state

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/federation"
)

// State is all that is known of one cluster: what Git wants of it, what it shows,
// and what the last requests answered. Everything else, what is due and what is
// wrong, is computed from it.
type State struct {
	Settings

	Since       time.Time // when the cluster's lists were first waited for
	Incarnation int       // counts the clusters that were behind the address
	Plan        federation.ClusterPlan
	Defined     map[schema.GroupKind]federation.ObjectRef // by the plan's definitions
	Definers    map[federation.ObjectRef]schema.GroupKind // likewise
	Sets        map[string]string                         // the apps, by the value of the part-of label
	Rows        map[federation.ObjectRef]*Row
	order       []*Row                     // see sorted; nil after rows were added or dropped
	Apps        map[string]*App            // by name
	Kinds       map[schema.GroupKind]*Kind // those that the plan or an inventory names
	Lists       map[schema.GroupResource]Listing
	Spaces      map[string]*Space                          // the namespaces of rows, and fedsync-system
	Pauses      map[string]*Pause                          // by the reason for which objects are refused
	Clashes     []*refusal.Error                           // objects that two apps of the plan have
	Silent      Try                                        // the last request that found the API server silent
	Asking      *Flight                                    // one that only looks whether it answers
	Mapped      int                                        // the incarnation that the kinds were last asked for in
	Changes     map[federation.ObjectRef]federation.Change // made for the plan's revision
	Notes       []federation.Finding                       // on those
	Listings    struct{ Parents, Spaces Listing }
}

// Settings say whose cluster a state is of.
type Settings struct {
	Cluster     string
	Owner       inventory.Owner // of the inventories: the federation and its source
	Instance    string          // the name that the parents bear
	Reader      object.Reader
	ListTimeout time.Duration // how long objects wait for what has not been listed
	Deadline    time.Duration // after which a deletion that waits is a failure
}

// New makes a state in which nothing is known yet.
func New(s Settings) *State {
	return &State{
		Settings: s,
		Since:    time.Now(),
		Defined:  map[schema.GroupKind]federation.ObjectRef{},
		Definers: map[federation.ObjectRef]schema.GroupKind{},
		Sets:     map[string]string{},
		Rows:     map[federation.ObjectRef]*Row{},
		Apps:     map[string]*App{},
		Kinds:    map[schema.GroupKind]*Kind{},
		Lists:    map[schema.GroupResource]Listing{},
		Spaces:   map[string]*Space{},
		Pauses:   map[string]*Pause{},
		Changes:  map[federation.ObjectRef]federation.Change{},
	}
}

// Row returns the row of an object, which it adds where there is none.
func (t *State) Row(ref federation.ObjectRef) *Row {
	r := t.Rows[ref]
	if r == nil {
		r = &Row{Ref: ref, Rank: object.Rank(ref.GroupKind())}
		t.Rows[ref] = r
		t.order = nil
	}
	return r
}

// App returns what is known of an app, which it adds where there is none.
func (t *State) App(name string) *App {
	a := t.Apps[name]
	if a == nil {
		a = &App{Name: name, Plan: federation.AppPlan{App: name, Prune: federation.PruneOff}}
		t.Apps[name] = a
	}
	return a
}

// Space returns what is known of a namespace, which it adds where there is none.
func (t *State) Space(name string) *Space {
	s := t.Spaces[name]
	if s == nil {
		s = &Space{}
		t.Spaces[name] = s
	}
	return s
}

// Kind returns what is known of a kind, which it adds where there is none.
func (t *State) Kind(gk schema.GroupKind) *Kind {
	k := t.Kinds[gk]
	if k == nil {
		k = &Kind{}
		t.Kinds[gk] = k
	}
	return k
}

// Sweep drops a row that says nothing any more.
func (t *State) Sweep(r *Row) {
	if r.Want == nil && r.Live == nil && r.Flight == nil {
		delete(t.Rows, r.Ref)
		t.order = nil
	}
}

// Sorted returns the rows in the order in which they are applied. The slice is
// not to be changed.
func (t *State) Sorted() []*Row {
	if t.order != nil {
		return t.order
	}
	rows := slices.Collect(maps.Values(t.Rows))
	slices.SortFunc(rows, func(a, b *Row) int {
		if d := a.Rank - b.Rank; d != 0 {
			return d
		}
		return a.Ref.Compare(b.Ref)
	})
	t.order = rows
	return rows
}

// SortedApps are the apps by name.
func (t *State) SortedApps() []*App {
	apps := make([]*App, 0, len(t.Apps))
	for _, name := range slices.Sorted(maps.Keys(t.Apps)) {
		apps = append(apps, t.Apps[name])
	}
	return apps
}

// index counts what each app has.
func index(t *State) {
	for _, a := range t.Apps {
		a.Has = inventory.Contents{}
	}
	for _, r := range t.Rows {
		if r.Want == nil {
			continue
		}
		t.App(r.Want.App).Has.Add(r.Ref)
	}
}

// rowOfDefinition returns the row of the plan's definition of a kind; nil where
// there is none.
func rowOfDefinition(t *State, gk schema.GroupKind) *Row {
	ref, ok := t.Defined[gk]
	if !ok {
		return nil
	}
	return t.Rows[ref]
}

// Definition is what is seen of the definition of a kind, where the plan has it.
func (t *State) Definition(gk schema.GroupKind) DefinitionMark {
	d := rowOfDefinition(t, gk)
	if d == nil || d.Live == nil {
		return DefinitionMark{}
	}
	return DefinitionMark{mark: d.Live.Mark(), established: d.Live.Established}
}

// MayCreate reports whether a missing namespace is to be made. Our own is made
// even where others are not to be.
func (t *State) MayCreate(name string) bool {
	return t.Plan.CreateNamespaces || name == federation.SystemNamespace
}

// Reset drops what was known of the cluster, for one that was restored or
// rebuilt. What Git wants stays.
func (t *State) Reset() {
	for ref, r := range t.Rows {
		if r.Want == nil {
			delete(t.Rows, ref)
			t.order = nil
			continue
		}
		// The answer to what is under way is about the cluster of before.
		*r = Row{Ref: r.Ref, Rank: r.Rank, Want: r.Want, Flight: r.Flight}
	}
	for _, a := range t.Apps {
		a.Parent, a.Last = nil, Try{}
	}
	for _, k := range t.Kinds {
		*k = Kind{Version: k.Version, Flight: k.Flight}
	}
	for _, s := range t.Spaces {
		*s = Space{Flight: s.Flight}
	}
	t.Incarnation++
	t.Since = time.Now()
	clear(t.Pauses)
	clear(t.Lists)
	t.Silent, t.Listings = Try{}, struct{ Parents, Spaces Listing }{}
}
