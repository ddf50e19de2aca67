package apply

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/apply/write"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Options say which cluster an Applier writes to, for whom, and how.
type Options struct {
	Cluster    string
	Federation string
	// Source is a digest of repository, ref and federation. An app whose parent
	// bears another one is refused, unless it is one of FormerSources: what an
	// earlier version called the same source. It is replaced then.
	Source        string
	FormerSources []string
	// FollowsAs reports whether a source is this one under another name of the
	// federation, which it may have had before; nil where that is not known.
	FollowsAs func(federation, source string) bool
	// Instance is written into the parents, for a daemon of an earlier version to
	// see that another one writes now; see SetInstance.
	Instance string
	Version  string // of fedsync, for the inventory's tooling annotation: "v0.1.0"

	Client dynamic.Interface // without a rate limit of its own, or with a generous one
	// Mapper knows the cluster's kinds. It is asked again after a reset, so it
	// must not remember failures; its requests need a timeout of their own.
	Mapper meta.ResettableRESTMapper
	// MayWrite reports whether the cluster may be written to now; it is asked
	// before every write, and must not block. Wake says that it may answer
	// otherwise. Always if nil.
	MayWrite func() bool
	// Overwritten is called when an object was changed under our field manager by
	// somebody else, before that is put right; it must not block or call the Applier.
	// Never if nil.
	Overwritten func()
	// Changed is called when Resources or Standing may say something else; it
	// must not block or call the Applier. Never if nil.
	Changed func()
	// Change is told of each change that was made; the same holds for it.
	Change func(federation.Change)

	Concurrency    int                  // requests at a time; 8 if 0
	RequestTimeout time.Duration        // of one request; 10 s if 0
	Deadline       time.Duration        // after which a deletion that waits is a failure; 15 min if 0
	NodePorts      federation.PortRange // 30000-32767 if zero
	// AdoptFrom are further field managers from which adoption takes over what they own,
	// besides the usual tools of people; see ownership.NewPeople.
	AdoptFrom []string
	// Forms may be shared by the appliers of all clusters; its own if nil.
	Forms *object.Forms
	Log   *zap.Logger // which names the cluster; silent if nil
}

// Applier makes one cluster match its plan: Run does it, and the other methods tell
// it what is wanted and seen. It is safe for concurrent use, and no method but
// those with a context makes a request or waits for one.
type Applier struct {
	Options

	writer *write.Writer
	table  *table
	woken  chan struct{} // one token is enough for any number of changes
	turn   atomic.Uint64 // counts what may make another agenda of the table

	requests context.Context    // of those under way; the table's mutex protects it
	abort    context.CancelFunc // ends them; likewise
}

// New makes an Applier that knows nothing yet.
func New(o Options) *Applier {
	if o.Concurrency <= 0 {
		o.Concurrency = 8
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = 10 * time.Second
	}
	if o.Deadline <= 0 {
		o.Deadline = 15 * time.Minute
	}
	if o.NodePorts == (federation.PortRange{}) {
		o.NodePorts = federation.PortRange{First: 30000, Last: 32767}
	}
	if o.Forms == nil {
		o.Forms = object.NewForms()
	}
	if o.Overwritten == nil {
		o.Overwritten = func() {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	t := newTable(o.Federation, o.Instance, o.Source, o.RequestTimeout)
	t.reader = object.NewReader(o.AdoptFrom)
	c := &request.Client{Dynamic: o.Client, Mapper: o.Mapper, Timeout: o.RequestTimeout, MayWrite: o.MayWrite, Federation: o.Federation}
	return &Applier{
		Options: o,
		writer: &write.Writer{
			Client: c, Cluster: o.Cluster, Version: o.Version, FollowsAs: o.FollowsAs, NodePorts: o.NodePorts,
			Owner: inventory.Owner{Federation: o.Federation, Source: o.Source, FormerSources: o.FormerSources},
			Forms: o.Forms, Reader: t.reader, Backups: &backup.Store{Client: c},
		},
		table: t,
		woken: make(chan struct{}, 1), // one token
	}
}

// Backups has the objects that adoption overwrote.
func (a *Applier) Backups() *backup.Store { return a.writer.Backups }

func (a *Applier) mayWrite() bool { return a.MayWrite == nil || a.MayWrite() }

func (a *Applier) changed() {
	if a.Changed != nil {
		a.Changed()
	}
}

// SetInstance sets the name that the parents bear. Those that bear another are
// written again before anything else of their apps.
func (a *Applier) SetInstance(name string) {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.instance != name {
		t.instance = name
		a.Wake()
	}
}

// record records what was done for the plan's revision; the table's mutex is held.
func (a *Applier) record(c federation.Change) {
	a.table.changed(c)
	if a.Change != nil && c.Action != federation.ActionUnchanged {
		a.Change(c)
	}
}

// Want makes the plan what the cluster should run. It takes effect between any two
// requests. A new revision is a new chance for all that was refused.
func (a *Applier) Want(plan federation.ClusterPlan) {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.take(plan)
	a.Wake()
}

// Retry ends every pause: the cluster has come back, or somebody mended it.
func (a *Applier) Retry() {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retryAll()
	t.silent = try{}
	a.Wake()
}

// Abort ends the requests that are under way: nothing will answer them.
func (a *Applier) Abort() {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.abort != nil {
		a.abort()
	}
}

// Forget drops what is known of the cluster, for one that was restored from a
// backup or rebuilt. Everything has to be observed again.
func (a *Applier) Forget() {
	a.Abort()
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
	a.Wake()
}

// Resources returns what is to be watched by the label
// applyset.kubernetes.io/part-of: the kinds of the plan, of what was wanted before
// where the plan does not name it, and of the inventories. A kind of which it is
// not known how it is served is left out until it is.
func (a *Applier) Resources() []schema.GroupVersionResource {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	used := map[schema.GroupKind]bool{}
	for _, r := range t.rows {
		used[r.ref.GroupKind()] = used[r.ref.GroupKind()] || r.want != nil
	}
	for _, of := range t.apps {
		for _, w := range of.plan.Withheld {
			used[w.Object.GroupKind()] = true
		}
	}
	for _, gk := range t.listedKinds() {
		used[gk] = true
	}
	var out []schema.GroupVersionResource
	for gk, is := range used {
		if k := t.kinds[gk]; is && k != nil && k.watched != nil && !k.isGone() {
			out = append(out, k.watched.Resource)
		}
	}
	slices.SortFunc(out, func(x, y schema.GroupVersionResource) int { return strings.Compare(x.String(), y.String()) })
	return slices.Compact(out)
}

// KindsKnown reports whether it is known of every kind of the plan and of the
// inventories how it is served, or that it is not: then Resources returns all that
// there is to watch.
func (a *Applier) KindsKnown() bool {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	known := func(k *kind) bool { return k != nil && (k.mapping != nil || k.last.err != nil) }
	for _, r := range t.rows {
		if r.want != nil && !known(t.kinds[r.ref.GroupKind()]) {
			return false
		}
	}
	for _, gk := range t.listedKinds() {
		if !known(t.kinds[gk]) {
			return false
		}
	}
	return true
}

// Unserved reports whether the plan has kinds that the cluster is not known to
// serve: its definitions are worth a watch then.
func (a *Applier) Unserved() bool {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.rows {
		if k := t.kinds[r.ref.GroupKind()]; r.want != nil && k != nil && k.mapping == nil && k.last.err != nil {
			return true
		}
	}
	return false
}

// AppOf returns the app of this federation to whose objects the label
// applyset.kubernetes.io/part-of gives this value; empty for none.
func (a *Applier) AppOf(partOf string) string {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sets[partOf]
}

// Inventory returns the objects of ours that the watches have seen, by app and
// sorted: what bears the label of the app, an entry of ours, and no controller. An
// app of which only the parent is left has no objects in it: a plan that no longer
// named the app would leave the parent behind.
func (a *Applier) Inventory() map[string][]federation.ObjectRef {
	t := a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.inventory()
}
