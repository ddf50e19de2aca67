package apply

import (
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// table is all that is known of one cluster: what Git wants of it, what it shows,
// and what the last requests answered. Everything else, what is due and what is
// wrong, is computed from it.
type table struct {
	mu sync.Mutex // protects all below; never held during a request

	federation  string
	instance    string
	source      string
	listTimeout time.Duration
	reader      object.Reader // never changes

	since       time.Time // when the cluster's lists were first waited for
	incarnation int       // counts the clusters that were behind the address
	plan        federation.ClusterPlan
	defined     map[schema.GroupKind]federation.ObjectRef // by the plan's definitions
	definers    map[federation.ObjectRef]schema.GroupKind // likewise
	sets        map[string]string                         // the apps, by the value of the part-of label
	rows        map[federation.ObjectRef]*row
	order       []*row                     // see sorted; nil after rows were added or dropped
	apps        map[string]*app            // by name
	kinds       map[schema.GroupKind]*kind // those that the plan or an inventory names
	lists       map[schema.GroupResource]listing
	spaces      map[string]*space                          // the namespaces of rows, and fedsync-system
	pauses      map[string]*pause                          // by the reason for which objects are refused
	clashes     []*refusal.Error                           // objects that two apps of the plan have
	silent      try                                        // the last request that found the API server silent
	asking      *flight                                    // one that only looks whether it answers
	mapped      int                                        // the incarnation that the kinds were last asked for in
	changes     map[federation.ObjectRef]federation.Change // made for the plan's revision
	notes       []federation.Finding                       // on those
	listings    struct{ parents, spaces listing }
}

// row is all that is known of one object.
type row struct {
	ref      federation.ObjectRef
	rank     int             // of its kind
	want     *object.Desired // what Git wants; nil for none
	resource schema.GroupVersionResource

	live *object.Live // nil where it does not exist, as far as is known
	seen time.Time    // when live was learned, from an event or an answer
	base *object.Live // what the API server answered to our apply, or was found to be as good
	made string       // the wish that base came from; empty where that is not known

	flight *flight // the request that is under way; nil for none
	queued *Event  // the newest event that waits for its answer

	ended inventory.Ended // how a Job ended, where the inventory does not say it yet

	drift *drift // what somebody else changed since base
	flips []flip
	fight *fight
	last  try

	remade   bool                // the last repair had to create it again
	adopting *federation.Finding // what is to be said when its adoption is done; nil for none begun
}

// flight is a request under way.
type flight struct {
	since       time.Time
	incarnation int
	around      circumstances
}

// try is what the last request for something answered.
type try struct {
	err      *refusal.Error // nil where it worked, or none was made
	reason   string         // for which others are refused, too; empty where it is its own
	at       time.Time      // zero where it no longer counts, and another try is due
	failures int            // in a row
	around   circumstances
}

// circumstances are what a refusal may depend on. Another try is due soon when
// they are no longer those of the last.
type circumstances struct {
	wish   string
	object object.Mark
	space  spaceMark
	kind   definitionMark
}

// definitionMark changes with the definition of a kind.
type definitionMark struct {
	mark        object.Mark
	established bool
}

// app is what is known of one app: the plan's word on it and its inventory.
type app struct {
	name   string
	plan   federation.AppPlan // without its objects
	named  bool               // the plan speaks of it
	has    inventory.Contents // what its inventory is to list, see index
	parent *write.Parent      // nil where it does not exist, as far as is known
	flight *flight
	last   try // of widening or narrowing the parent
}

// kind is what is known of one kind.
type kind struct {
	version string // that the plan asks for; empty for the preferred one
	mapping *meta.RESTMapping
	// watched is the mapping that was known last, also while another is asked for:
	// who stops looking at a kind meanwhile would take its objects for gone.
	watched *meta.RESTMapping
	flight  *flight
	last    try            // of asking for the mapping
	asked   definitionMark // as it was then
	doubted bool           // an answer said that it is not served like that
	since   time.Time      // when that was learned
	hung    bool           // a request timed out, and none was answered since
}

// listing says how much of a watch is seen.
type listing struct {
	done  bool // its initial list has been observed, and it has not failed since
	err   error
	since time.Time // when it was waited for again
}

// space is what is known of one namespace.
type space struct {
	known       bool // by a watch or an answer
	exists      bool
	terminating bool
	message     string // why it does not go, in its own words
	mark        spaceMark
	at          time.Time // when a request said so
	flight      *flight
	last        try
}

// spaceMark changes with what may decide over objects in the namespace.
type spaceMark struct {
	uid         types.UID
	terminating bool
	labels      uint64 // a digest
}

// pause is the wait that objects share which are refused for one reason.
type pause struct {
	at       time.Time // of the last refusal
	failures int       // in a row
	until    time.Time
}

func newTable(name, instance, source string, listTimeout time.Duration) *table {
	return &table{
		federation:  name,
		instance:    instance,
		source:      source,
		listTimeout: listTimeout,
		reader:      object.NewReader(nil),
		since:       time.Now(),
		defined:     map[schema.GroupKind]federation.ObjectRef{},
		definers:    map[federation.ObjectRef]schema.GroupKind{},
		sets:        map[string]string{},
		rows:        map[federation.ObjectRef]*row{},
		apps:        map[string]*app{},
		kinds:       map[schema.GroupKind]*kind{},
		lists:       map[schema.GroupResource]listing{},
		spaces:      map[string]*space{},
		pauses:      map[string]*pause{},
		changes:     map[federation.ObjectRef]federation.Change{},
	}
}

// row returns the row of an object, which it adds where there is none.
func (t *table) row(ref federation.ObjectRef) *row {
	r := t.rows[ref]
	if r == nil {
		r = &row{ref: ref, rank: object.Rank(ref.GroupKind())}
		t.rows[ref] = r
		t.order = nil
	}
	return r
}

func (t *table) app(name string) *app {
	a := t.apps[name]
	if a == nil {
		a = &app{name: name, plan: federation.AppPlan{App: name, Prune: federation.PruneOff}}
		t.apps[name] = a
	}
	return a
}

func (t *table) space(name string) *space {
	s := t.spaces[name]
	if s == nil {
		s = &space{}
		t.spaces[name] = s
	}
	return s
}

func (t *table) kind(gk schema.GroupKind) *kind {
	k := t.kinds[gk]
	if k == nil {
		k = &kind{}
		t.kinds[gk] = k
	}
	return k
}

// sweep drops a row that says nothing any more.
func (t *table) sweep(r *row) {
	if r.want == nil && r.live == nil && r.flight == nil {
		delete(t.rows, r.ref)
		t.order = nil
	}
}

// sorted returns the rows in the order in which they are applied. The slice is
// not to be changed.
func (t *table) sorted() []*row {
	if t.order != nil {
		return t.order
	}
	rows := slices.Collect(maps.Values(t.rows))
	slices.SortFunc(rows, func(a, b *row) int {
		if d := a.rank - b.rank; d != 0 {
			return d
		}
		return a.ref.Compare(b.ref)
	})
	t.order = rows
	return rows
}

// index counts what each app has.
func (t *table) index() {
	for _, a := range t.apps {
		a.has = inventory.Contents{}
	}
	for _, r := range t.rows {
		if r.want == nil {
			continue
		}
		t.app(r.want.App).has.Add(r.ref)
	}
}

// settled reports whether the cluster shows what Git wants of the object.
func (r *row) settled() bool {
	return r.want != nil && r.live != nil && !r.live.Terminating && r.drift == nil && r.made != "" && r.made == r.want.Wish()
}

// wanted reports whether Git wants the object.
func (r *row) wanted() bool { return r != nil && r.want != nil }

// wants returns the row's wish where it is for just this; nil where it is not.
func (r *row) wants(app string, adoption federation.Adoption, o *federation.Object) *object.Desired {
	if r == nil || r.want == nil || r.want.App != app || r.want.Adoption != adoption ||
		r.want.Object.Digest != o.Digest || r.want.Object.File != o.File {
		return nil
	}
	return r.want
}

// rowOfDefinition returns the row of the plan's definition of a kind; nil where
// there is none.
func (t *table) rowOfDefinition(gk schema.GroupKind) *row {
	ref, ok := t.defined[gk]
	if !ok {
		return nil
	}
	return t.rows[ref]
}

// partOf is the value of the object's part-of label; empty where it has none.
func (r *row) partOf() string {
	if r.live == nil {
		return ""
	}
	return r.live.PartOf
}

// forget drops what was known of the cluster, for one that was restored or
// rebuilt. What Git wants stays.
func (t *table) forget() {
	for ref, r := range t.rows {
		if r.want == nil {
			delete(t.rows, ref)
			t.order = nil
			continue
		}
		// The answer to what is under way is about the cluster of before.
		*r = row{ref: r.ref, rank: r.rank, want: r.want, flight: r.flight}
	}
	for _, a := range t.apps {
		a.parent, a.last = nil, try{}
	}
	for _, k := range t.kinds {
		*k = kind{version: k.version, flight: k.flight}
	}
	for _, s := range t.spaces {
		*s = space{flight: s.flight}
	}
	t.incarnation++
	t.since = time.Now()
	clear(t.pauses)
	clear(t.lists)
	t.silent, t.listings = try{}, struct{ parents, spaces listing }{}
}
