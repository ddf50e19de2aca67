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

// State is everything known about one cluster: what Git wants, what the cluster shows,
// and what the last requests answered. What is due and what is wrong is computed from
// it.
type State struct {
	Settings

	Since       time.Time // when waiting for the cluster's lists began
	Incarnation int       // counts the clusters that were at the address
	Plan        federation.ClusterPlan
	Defined     map[schema.GroupKind]federation.ObjectRef // the plan's definitions, by kind
	Definers    map[federation.ObjectRef]schema.GroupKind // the reverse
	Sets        map[string]string                         // the apps, by the value of the part-of label
	Rows        map[federation.ObjectRef]*Row
	order       []*Row                     // see Sorted; nil after rows were added or dropped
	Apps        map[string]*App            // by name
	Kinds       map[schema.GroupKind]*Kind // those that the plan or an inventory names
	Lists       map[schema.GroupResource]Listing
	Spaces      map[string]*Space                          // the namespaces of rows, and fedsync-system
	Pauses      map[string]*Pause                          // by the reason why objects are refused
	Clashes     []*refusal.Error                           // objects that two apps of the plan have
	Silent      Try                                        // the last request that found the API server silent
	Asking      *Flight                                    // a request that only checks whether it answers
	Mapped      int                                        // the incarnation in which kinds were last asked for
	Changes     map[federation.ObjectRef]federation.Change // made for the plan's revision
	Notes       []federation.Finding                       // on those changes
	Listings    struct{ Parents, Spaces Listing }
}

// Settings identify the cluster of a state.
type Settings struct {
	Cluster     string
	Owner       inventory.Owner // of the inventories: the federation and its source
	Instance    string          // the instance name in the parents
	Reader      object.Reader
	ListTimeout time.Duration // how long objects wait for kinds that are not listed
	Deadline    time.Duration // after which a waiting deletion is a failure
}

// New returns a state in which nothing is known yet.
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

// Row returns the row of an object. It adds a missing one.
func (t *State) Row(ref federation.ObjectRef) *Row {
	r := t.Rows[ref]
	if r == nil {
		r = &Row{Ref: ref, Rank: object.Rank(ref.GroupKind())}
		t.Rows[ref] = r
		t.order = nil
	}
	return r
}

// App returns what is known about an app. It adds a missing one.
func (t *State) App(name string) *App {
	a := t.Apps[name]
	if a == nil {
		a = &App{Name: name, Plan: federation.AppPlan{App: name, Prune: federation.PruneOff}}
		t.Apps[name] = a
	}
	return a
}

// Space returns what is known about a namespace. It adds a missing one.
func (t *State) Space(name string) *Space {
	s := t.Spaces[name]
	if s == nil {
		s = &Space{}
		t.Spaces[name] = s
	}
	return s
}

// Kind returns what is known about a kind. It adds a missing one.
func (t *State) Kind(gk schema.GroupKind) *Kind {
	k := t.Kinds[gk]
	if k == nil {
		k = &Kind{}
		t.Kinds[gk] = k
	}
	return k
}

// Sweep drops a row that holds no information any more.
func (t *State) Sweep(r *Row) {
	if r.Want == nil && r.Live == nil && r.Flight == nil {
		delete(t.Rows, r.Ref)
		t.order = nil
	}
}

// Sorted returns the rows in the order in which they are applied. The caller must not
// change the slice.
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

// SortedApps returns the apps by name.
func (t *State) SortedApps() []*App {
	apps := make([]*App, 0, len(t.Apps))
	for _, name := range slices.Sorted(maps.Keys(t.Apps)) {
		apps = append(apps, t.Apps[name])
	}
	return apps
}

// index collects what each app has.
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

// rowOfDefinition returns the row of the plan's definition of a kind; nil if there is
// none.
func rowOfDefinition(t *State, gk schema.GroupKind) *Row {
	ref, ok := t.Defined[gk]
	if !ok {
		return nil
	}
	return t.Rows[ref]
}

// Definition returns the state of a kind's definition, if the plan has it.
func (t *State) Definition(gk schema.GroupKind) DefinitionMark {
	d := rowOfDefinition(t, gk)
	if d == nil || d.Live == nil {
		return DefinitionMark{}
	}
	return DefinitionMark{mark: d.Live.Mark(), established: d.Live.Established}
}

// MayCreate reports whether a missing namespace may be created. Our own is created even
// where others are not.
func (t *State) MayCreate(name string) bool {
	return t.Plan.CreateNamespaces || name == federation.SystemNamespace
}

// Reset drops what is known about the cluster, because it was restored or rebuilt. What
// Git wants stays.
func (t *State) Reset() {
	for ref, r := range t.Rows {
		if r.Want == nil {
			delete(t.Rows, ref)
			t.order = nil
			continue
		}
		// The answer to a request under way is about the previous cluster.
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
