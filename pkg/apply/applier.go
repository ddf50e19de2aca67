package apply

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Options say which cluster an Applier writes to, for whom, and how.
type Options struct {
	Cluster    string
	Federation string
	// Source is a digest of repository, ref and federation. An app whose parent
	// bears another one is refused.
	Source string
	// Instance names this running daemon. The newest to claim a parent is its
	// writer; the same name after a restart claims without a write.
	Instance string
	Version  string // of fedsync, for the inventory's tooling annotation: "v0.1.0"

	Client dynamic.Interface // without a rate limit of its own, or with a generous one
	// Mapper knows the cluster's kinds. It is asked again after a reset, so it
	// must not remember failures; its requests need a timeout of their own.
	Mapper meta.ResettableRESTMapper

	Concurrency    int                  // requests at a time; 8 if 0
	RequestTimeout time.Duration        // of one request; 10 s if 0
	NodePorts      federation.PortRange // 30000-32767 if zero
	// Forms may be shared by the appliers of all clusters; its own if nil.
	Forms *Forms
	Log   *zap.Logger // silent if nil
}

// Applier makes one cluster match its plan. It is safe for concurrent use:
// calls that write wait for one another, and Observe waits for none of them.
type Applier struct {
	Options

	hasher hasher
	turn   chan struct{} // holds one token: whoever took it may write to the cluster

	mu       sync.Mutex // protects all below; never held during a request
	mappings map[schema.GroupVersionKind]*meta.RESTMapping
	objects  map[federation.ObjectRef]*record
	desired  map[federation.ObjectRef]*desired
	parents  map[string]*parent // by app
	apps     map[string]string  // by the value of the part-of label
	listed   map[schema.GroupVersionResource]bool
	spaces   map[string]bool // namespaces known to exist, or not to
	// createNamespaces is the last plan's word, for repairs.
	createNamespaces bool
	fencedBy         string // the instance that took over; empty while none did

	// What stands until it is looked at again, for Findings.
	appFindings map[string][]federation.Finding // by app
	ownFindings []federation.Finding
}

// New makes an Applier that knows nothing yet: Prepare tells it what it left in
// the cluster.
func New(o Options) *Applier {
	if o.Concurrency <= 0 {
		o.Concurrency = 8
	}
	if o.RequestTimeout <= 0 {
		o.RequestTimeout = 10 * time.Second
	}
	if o.NodePorts == (federation.PortRange{}) {
		o.NodePorts = federation.PortRange{First: 30000, Last: 32767}
	}
	if o.Forms == nil {
		o.Forms = NewForms()
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	o.Log = o.Log.With(zap.String("cluster", o.Cluster))
	a := &Applier{
		Options:     o,
		hasher:      hasher{seed: maphash.MakeSeed()},
		turn:        make(chan struct{}, 1), // one token
		mappings:    map[schema.GroupVersionKind]*meta.RESTMapping{},
		objects:     map[federation.ObjectRef]*record{},
		desired:     map[federation.ObjectRef]*desired{},
		parents:     map[string]*parent{},
		apps:        map[string]string{},
		listed:      map[schema.GroupVersionResource]bool{},
		spaces:      map[string]bool{},
		appFindings: map[string][]federation.Finding{},
	}
	a.turn <- struct{}{}
	return a
}

// Fenced says whether another instance has taken over this federation in this
// cluster, and which. A fenced Applier writes nothing any more.
func (a *Applier) Fenced() (by string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fencedBy, a.fencedBy != ""
}

// Kinds gives the kinds to be watched, by the label applyset.kubernetes.io/part-of:
// those of the plan and those that the parents list. A kind that the cluster does
// not know, or not yet, is left out: ask again after an Apply.
func (a *Applier) Kinds(plan federation.ClusterPlan) []schema.GroupVersionResource {
	kinds := map[schema.GroupKind]string{} // the version, where the plan says one
	for _, app := range plan.Apps {
		for _, o := range app.Objects {
			if kinds[o.Ref.GroupKind()] == "" {
				kinds[o.Ref.GroupKind()] = o.Version
			}
		}
		for _, w := range app.Withheld {
			if _, known := kinds[w.Object.GroupKind()]; !known {
				kinds[w.Object.GroupKind()] = "" // the preferred version
			}
		}
	}
	a.mu.Lock()
	for _, p := range a.parents {
		for gk := range p.kinds {
			if _, ok := kinds[gk]; !ok {
				kinds[gk] = "" // the preferred version
			}
		}
	}
	for _, d := range a.desired { // of apps that could not be rendered this time
		if gk := d.ref.GroupKind(); kinds[gk] == "" {
			kinds[gk] = d.object.Version
		}
	}
	a.mu.Unlock()

	var out []schema.GroupVersionResource
	for gk, version := range kinds {
		if mapping, err := a.mapping(gk.WithVersion(version)); err == nil {
			out = append(out, mapping.Resource)
		}
	}
	slices.SortFunc(out, func(x, y schema.GroupVersionResource) int { return strings.Compare(x.String(), y.String()) })
	return slices.Compact(out)
}

// mapping finds out how a kind is served. An empty version stands for the
// preferred one.
func (a *Applier) mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	a.mu.Lock()
	m := a.mappings[gvk]
	a.mu.Unlock()
	if m != nil {
		return m, nil
	}
	var versions []string
	if gvk.Version != "" {
		versions = []string{gvk.Version}
	}
	m, err := a.Mapper.RESTMapping(gvk.GroupKind(), versions...)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.mappings[gvk] = m
	a.mu.Unlock()
	return m, nil
}

// resetKinds forgets what is known of the cluster's kinds.
func (a *Applier) resetKinds() {
	a.mu.Lock()
	clear(a.mappings)
	a.mu.Unlock()
	a.Mapper.Reset()
}

// Inventory gives the objects of ours that the watches have seen, by app and
// sorted: what bears the label of the app, an entry of ours, and no controller.
func (a *Applier) Inventory() map[string][]federation.ObjectRef {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string][]federation.ObjectRef{}
	for ref, rec := range a.objects {
		if app, ok := a.ownerOf(rec); ok {
			out[app] = append(out[app], ref)
		}
	}
	for _, refs := range out {
		slices.SortFunc(refs, federation.ObjectRef.Compare)
	}
	return out
}

// ownerOf gives the app whose inventory the object is in; a.mu is held.
func (a *Applier) ownerOf(rec *record) (app string, ok bool) {
	if rec.live == nil || !rec.live.owned || rec.live.controlled {
		return "", false
	}
	app, ok = a.apps[rec.live.partOf]
	return app, ok
}

// Synced says whether every kind that the plan needs and the cluster serves has
// been listed: then Inventory is whole.
func (a *Applier) Synced(plan federation.ClusterPlan) bool {
	kinds := a.Kinds(plan)
	a.mu.Lock()
	defer a.mu.Unlock()
	return !slices.ContainsFunc(kinds, func(gvr schema.GroupVersionResource) bool { return !a.listed[gvr] })
}

// Findings gives what is wrong now and stays wrong until it is mended: what the
// last Apply and the Repairs since could not do, fields that others added, and
// fights.
func (a *Applier) Findings() []federation.Finding {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := slices.Clone(a.ownFindings)
	for _, app := range slices.Sorted(maps.Keys(a.appFindings)) {
		out = append(out, a.appFindings[app]...)
	}
	if a.fencedBy != "" {
		out = append(out, a.fencedFinding())
	}
	for ref, rec := range a.objects {
		d := a.desired[ref]
		if d == nil {
			if rec.problem != nil {
				out = append(out, rec.problem.finding(a.Cluster, a.apps[rec.partOf()]))
			}
			continue
		}
		if rec.problem != nil {
			out = append(out, rec.problem.finding(a.Cluster, d.app))
		}
		if f, ok := a.fightFinding(d, rec); ok && rec.problem == nil {
			out = append(out, f)
		}
		out = append(out, a.foreignFindings(d, rec)...)
	}
	slices.SortFunc(out, federation.Finding.Compare)
	return out
}

// take waits for the turn to write. It gives back what must be called after.
func (a *Applier) take(ctx context.Context) (release func(), err error) {
	select {
	case <-a.turn:
		return func() { a.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
