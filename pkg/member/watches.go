package member

import (
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/table"
	"github.com/fedsync/fedsync/pkg/claim"
	fault "github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/health"
	"github.com/fedsync/fedsync/pkg/watch"
)

// watches are the watches that every session has, whatever the plan.
type watches struct {
	claim       watch.Watch // zero in a read-only session
	parents     watch.Watch // of the inventories
	namespaces  watch.Watch
	definitions watch.Watch // only while a kind of the plan is not served
}

func newWatches(name string, writes bool) watches {
	w := watches{
		parents: watch.Watch{
			Resource:  schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
			Namespace: federation.SystemNamespace, LabelSelector: inventory.ParentSelector(name),
		},
		namespaces: watch.Watch{Resource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}},
		definitions: watch.Watch{Resource: schema.GroupVersionResource{
			Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
		}},
	}
	if writes {
		w.claim = watch.Watch{Resource: claim.Resource, Namespace: claim.Namespace, FieldSelector: claim.FieldSelector(name)}
	}
	return w
}

// ofKind returns the watch of our objects of one kind.
func ofKind(gvr schema.GroupVersionResource) watch.Watch {
	return watch.Watch{Resource: gvr, LabelSelector: inventory.LabelPartOf}
}

// isOfKind reports whether a watch is one of our objects. Endpoint slices also bear our
// label, which their controller copies from our Services, but only the collector
// watches them.
func (s *session) isOfKind(w watch.Watch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kinds[w]
}

// applies returns the watches that apply reads.
func (s *session) applies() []watch.Watch {
	wanted := []watch.Watch{s.watches.parents, s.watches.namespaces}
	if s.watches.claim != (watch.Watch{}) {
		wanted = append(wanted, s.watches.claim)
	}
	resources := s.applier.Resources()
	if s.applier.Unserved() {
		wanted = append(wanted, s.watches.definitions)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.parentsIn {
		return wanted // the inventories are needed first: they show who owns the objects
	}
	for _, gvr := range resources {
		wanted = append(wanted, ofKind(gvr))
		s.kinds[ofKind(gvr)] = true
	}
	return wanted
}

// watch requests the watches that the order needs, and checks whether the schedule sees
// what it reads. It returns when to call it again.
func (s *session) watch(now time.Time) (next time.Time) {
	if s.order.Number == 0 {
		return time.Time{}
	}
	// KindsKnown and the parents' state decide which watches there are, so they are
	// read before the watches. If they change in between, the next turn requests the
	// new watches.
	whole := s.applier.KindsKnown()
	st := s.watcher.State(s.watches.parents)
	s.mu.Lock()
	s.parentsIn = s.parentsIn || st.Synced || st.Err != nil || !now.Before(s.awaited)
	whole = whole && s.parentsIn && s.uidKnown // facts are those of one cluster
	s.mu.Unlock()
	wanted := s.applies()
	required := append(slices.Clone(wanted), s.collector.Required()...)
	all := append(slices.Clone(wanted), s.collector.Watches()...)
	s.watcher.Want(all)

	unseen := func(w watch.Watch) bool {
		st := s.watcher.State(w)
		return !st.Synced && (st.Err == nil || !st.Err.Blocked())
	}
	synced := s.facts().Synced
	settled := s.collector.Settled() && whole
	// Watches that only the diagnosis reads delay the start, and nothing else.
	if !synced && now.Before(s.awaited) && (slices.ContainsFunc(all, unseen) || !settled) {
		return s.awaited
	}
	vital := func(w watch.Watch) bool { return w == s.watches.parents || s.collector.Reads(w) }
	if settled && !slices.ContainsFunc(required, func(w watch.Watch) bool { return vital(w) && unseen(w) }) {
		s.missed = time.Time{}
		s.mu.Lock()
		s.seen = true
		s.mu.Unlock()
		if !synced && s.facts().State != federation.ClusterOffline {
			s.update(listed{})
		}
		return time.Time{}
	}
	return s.markStale(now, synced)
}

// markStale reports facts as out of sight if the schedule has not seen them for longer
// than a list takes: they may be old by now.
func (s *session) markStale(now time.Time, synced bool) (next time.Time) {
	if !synced {
		return time.Time{}
	}
	if s.missed.IsZero() {
		s.missed = now
	}
	if until := s.missed.Add(s.RequestTimeout); now.Before(until) {
		return until
	}
	s.Log.Warn("facts out of sight")
	s.update(outOfSight{})
	return time.Time{}
}

// unlist informs the applier that what is not seen now is about to be listed.
func (s *session) unlist() {
	for _, w := range s.applies() {
		if !s.watcher.State(w).Synced {
			s.unseen(w, nil)
		}
	}
}

// observe passes a watch event to its consumers. It is called by many goroutines and
// must not block.
func (s *session) observe(e watch.Event) {
	if e.Type == watch.Restored {
		s.Log.Warn("cluster restored: it shows an earlier state than before", zap.Stringer("watch", e.Watch))
		s.replaced.Ring()
		return
	}
	if e.Object != nil {
		s.client.Secrets.In(e.Object.Object) // report then removes them
	}
	if e.Type == watch.Failed {
		if m, ok := errors.AsType[*fault.Misbehaviour](e.Err.Err); ok {
			s.misbehaves(m)
			return
		}
	}
	s.collector.Observe(e)
	switch {
	case e.Watch == s.watches.claim:
		s.observeClaim(e)
	case e.Watch == s.watches.namespaces:
		s.observeNamespace(e)
	case e.Watch == s.watches.definitions:
		s.applier.DefinitionsChanged()
	case e.Watch == s.watches.parents, s.isOfKind(e.Watch):
		s.observeOurs(e)
	}
	switch e.Type {
	case watch.Listed, watch.Failed, watch.Stopped:
		s.changed()
	case watch.Upserted, watch.Deleted, watch.Restored:
	}
}

func (s *session) observeClaim(e watch.Event) {
	switch e.Type {
	case watch.Upserted:
		s.claim.Saw(claim.FromLease(s.cleaned(e.Object)))
	case watch.Deleted:
		s.claim.Saw(claim.FromLease(nil))
	case watch.Listed:
		s.claim.Listed(len(e.Listing.Objects) > 0)
	case watch.Failed:
		s.claim.Lost(e.Err.Err)
	case watch.Stopped:
		s.claim.Lost(errStopped)
	case watch.Restored:
	}
}

// cleaned returns a copy of an object without the secrets of the connection, for
// consumers that do not write it back.
func (s *session) cleaned(u *unstructured.Unstructured) *unstructured.Unstructured {
	object, _ := s.client.Secrets.Object(u.Object).(map[string]any) // it is one
	return &unstructured.Unstructured{Object: object}
}

func (s *session) observeNamespace(e watch.Event) {
	switch e.Type {
	case watch.Upserted, watch.Deleted:
		s.applier.ObserveNamespace(e.Object, e.Type == watch.Deleted)
	case watch.Listed:
		s.applier.NamespacesListed(true, listing(e.Listing), nil)
	case watch.Failed:
		s.unseen(e.Watch, e.Err)
	case watch.Stopped:
		s.unseen(e.Watch, nil)
	case watch.Restored:
	}
}

// observeOurs takes an event of our objects, or of the inventories.
func (s *session) observeOurs(e watch.Event) {
	parents := e.Watch == s.watches.parents
	if !parents {
		s.view.Observe(e)
	}
	switch e.Type {
	case watch.Upserted, watch.Deleted:
		d := s.applier.Observe(object.Event{Resource: e.Watch.Resource, Object: e.Object, Deleted: e.Type == watch.Deleted})
		if d.Repair {
			s.Log.Info("drift found", zap.Stringer("object", d.Object), zap.String("drift", d.Text))
		}
		if d.Repair || d.Findings {
			s.changed()
		}
	case watch.Listed:
		if parents {
			s.applier.ParentsRead(listing(e.Listing))
		} else {
			s.applier.Listed(e.Watch.Resource, listing(e.Listing))
		}
	case watch.Failed:
		s.unseen(e.Watch, e.Err)
	case watch.Stopped:
		s.unseen(e.Watch, errStopped)
	case watch.Restored:
	}
}

var errStopped = errors.New("the watch is no longer wanted")

// unseen informs the applier that a watch fails. A first failure that may be temporary
// does not count yet.
func (s *session) unseen(w watch.Watch, err error) {
	if failed, ok := errors.AsType[*watch.Error](err); ok && !failed.Lasting() {
		err = nil
	}
	switch {
	case w == s.watches.parents:
		s.applier.ParentsListed(false, err)
	case w == s.watches.namespaces:
		s.applier.NamespacesListed(false, nil, err)
	case s.isOfKind(w):
		s.applier.Unlisted(w.Resource, err)
	}
}

func listing(l *watch.Listing) *table.Listing {
	if l == nil {
		return nil
	}
	return &table.Listing{Asked: l.Asked, Objects: l.Objects}
}

// judge observes a live object, and reports whether it belongs to an app of ours.
func (s *session) judge(u *unstructured.Unstructured) (federation.Observation, bool) {
	app := s.applier.AppOf(u.GetLabels()[inventory.LabelPartOf])
	if app == "" {
		return federation.Observation{}, false
	}
	return health.Judge(s.Cluster.Name, app, u), true
}

// ours reports whether the value of the part-of label is that of an app of ours.
func (s *session) ours(label string) bool { return s.applier.AppOf(label) != "" }
