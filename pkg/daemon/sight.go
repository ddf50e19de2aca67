package daemon

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/health"
)

// What a session sees of its cluster, by its watches and probes.

// watch makes the watches those that the order needs, and says whether to go on:
// each has listed, or cannot, or was waited for long enough. What has not listed
// is applied with care and not pruned.
func (s *session) watch() bool {
	s.know()
	wanted := []health.Watch{s.parents}
	for _, kind := range s.applier.Kinds(s.order.ClusterPlan) {
		wanted = append(wanted, health.Watch{Resource: kind, LabelSelector: apply.LabelPartOf})
	}
	needed := slices.Concat(wanted, s.collector.Required())
	if !slices.Equal(needed, s.needed) {
		s.needed, s.awaited = needed, time.Now().Add(s.listTimeout)
	}
	s.mu.Lock()
	for _, w := range wanted {
		if !slices.Contains(s.applied, w) {
			s.applied = append(s.applied, w)
		}
	}
	s.mu.Unlock()
	// The collector wants more, which only the diagnosis reads: it is waited for
	// like the others, and nothing hangs on it.
	all := slices.Concat(wanted, s.collector.Watches())
	s.watcher.Want(all)
	blocked := s.blocked()
	unseen := func(w health.Watch) bool { return !s.watcher.Synced(w) && blocked[w] == nil }
	if wait := time.Until(s.awaited); wait > 0 {
		early := !s.synced() && (slices.ContainsFunc(all, unseen) || !s.collector.Settled())
		if early || slices.ContainsFunc(needed, unseen) {
			s.wakeIn(wait)
			return false
		}
	}
	// What the schedule reads must be there; another kind that cannot be listed is
	// applied with care and not pruned.
	if slices.ContainsFunc(needed, func(w health.Watch) bool { return s.vital(w) && unseen(w) }) || !s.collector.Settled() {
		s.lose()
	} else {
		s.see()
	}
	// Without the parents in sight we may not be the writer any more.
	return s.watcher.Synced(s.parents) || blocked[s.parents] != nil
}

// vital says whether the schedule reads what a watch brings.
func (s *session) vital(w health.Watch) bool {
	return w == s.parents || s.collector.Reads(w)
}

// see notes that the facts are known, and that an outage is over with that: what
// a cluster runs after one, its lists tell.
func (s *session) see() {
	s.missed = time.Time{}
	s.mu.Lock()
	s.seen = true
	s.mu.Unlock()
	if s.synced() {
		return
	}
	s.update(func(o *outcome) {
		if o.facts.State == federation.ClusterOffline {
			return // since we looked
		}
		o.facts.Synced, o.facts.Seen, o.facts.Outage = true, true, false
		if o.facts.State == federation.ClusterReady {
			o.facts.AwaySince = time.Time{}
		}
	})
}

// lose notes that facts which the schedule reads have been out of sight for longer
// than a list takes: they may be old by now.
func (s *session) lose() {
	if !s.synced() {
		return
	}
	if s.missed.IsZero() {
		s.missed = time.Now()
	}
	if left := s.listTimeout - time.Since(s.missed); left > 0 {
		s.wakeIn(left)
		return
	}
	s.log.Warn("facts out of sight")
	s.update(func(o *outcome) { o.facts.Synced = false })
}

// know notes which labels are those of our apps.
func (s *session) know() {
	apps := map[string]string{}
	for _, app := range s.order.Apps {
		apps[apply.PartOf(s.federation, app.App)] = app.App
	}
	for _, app := range s.applier.Parents() {
		apps[apply.PartOf(s.federation, app)] = app
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps = apps
}

// blocked are the watches that fail for a reason of their own, which no waiting
// mends.
func (s *session) blocked() map[health.Watch]*health.WatchError {
	s.mu.Lock()
	defer s.mu.Unlock()
	blocked := map[health.Watch]*health.WatchError{}
	for w, err := range s.failed {
		if err.Blocked() {
			blocked[w] = err
		}
	}
	return blocked
}

// probed takes what the probes add up to. It must not block.
func (s *session) probed(p health.Probe) {
	before := s.state()
	if p.State != before {
		s.log.Info("cluster state", zap.String("state", string(p.State)),
			zap.String("class", string(p.Failure)), zap.String("error", p.Error))
	}
	s.update(func(o *outcome) {
		away, was := o.facts.AwaySince, o.facts.State
		p.Describe(&o.facts)
		switch {
		case p.State == federation.ClusterOffline:
			o.facts.Synced, o.facts.Outage = false, true
		case p.State == federation.ClusterReady && was == federation.ClusterUnknown:
			o.facts.Synced = false // its watches were refused meanwhile
		}
		// A new connection, or a refusal, does not make an outage a younger one.
		if o.facts.Outage && !away.IsZero() {
			o.facts.AwaySince = away
		}
	})
	switch {
	case p.State == federation.ClusterOffline:
		// Nothing that is under way will be answered.
		s.mu.Lock()
		if s.absent != nil {
			s.absent()
		}
		s.mu.Unlock()
		s.client.Disconnect()
	case p.State != before:
		s.back.ring()
	}
}

// observe takes a watch event to whom it concerns. It is called by many
// goroutines and must not block.
func (s *session) observe(e health.Event) {
	s.collector.Observe(e)
	if !s.applies(e.Watch) { // it is the collector's alone
		switch e.Type {
		case health.Listed, health.Stopped:
			s.note(e.Watch, nil)
		case health.Failed:
			s.note(e.Watch, e.Err)
		case health.Upserted, health.Deleted, health.Restored:
			return
		}
		s.looked.ring()
		return
	}
	switch e.Type {
	case health.Upserted, health.Deleted:
		d := s.applier.Observe(apply.Event{
			Resource: e.Watch.Resource, Object: e.Object, Deleted: e.Type == health.Deleted,
		})
		if d.Repair {
			s.log.Info("drift found", zap.Stringer("object", d.Object), zap.String("drift", d.Text))
			s.drifted.ring()
		}
		if d.Findings {
			s.changed.ring()
		}
		if e.Watch != s.parents {
			s.view.Observe(e)
		}
		return
	case health.Listed:
		s.note(e.Watch, nil)
		if e.Watch != s.parents {
			s.applier.Listed(e.Watch.Resource)
		}
	case health.Restored:
	case health.Failed:
		s.note(e.Watch, e.Err)
		if e.Watch != s.parents && e.Err.Blocked() {
			s.applier.Unlisted(e.Watch.Resource)
		}
	case health.Stopped:
		s.note(e.Watch, nil)
		if e.Watch != s.parents {
			s.applier.Unlisted(e.Watch.Resource)
			s.view.Observe(e)
		}
	}
	s.looked.ring()
}

// note remembers whether a watch sees.
func (s *session) note(w health.Watch, err *health.WatchError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.failed, w)
	} else {
		s.failed[w] = err
	}
}

// appOf gives the app of a live object, by its label; none for what is not ours.
func (s *session) appOf(u *unstructured.Unstructured) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apps[u.GetLabels()[apply.LabelPartOf]]
}

// applies says whether the applier reads a watch. Endpoint slices bear our label
// too, which their controller copies from our Services, and are not its business.
func (s *session) applies(w health.Watch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.applied, w)
}

// ours says whether a value of the part-of label is that of an app of ours.
func (s *session) ours(label string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apps[label] != ""
}

// look adds what the applier and the watches know by now.
func (s *session) look(o *outcome) {
	s.mu.Lock()
	seen := s.seen
	s.mu.Unlock()
	if seen { // else what the session before saw
		s.collector.Facts(time.Now(), &o.facts)
	}
	last := s.prober.Last()
	o.facts.Failed, o.facts.Probes = last.Failed, last.Probes
	o.blind = false
	for w := range s.blocked() {
		o.blind = o.blind || s.applies(w)
	}
	refs, _ := s.applier.Due(time.Now())
	o.dirty = len(refs) > 0
	if o.facts.Synced || len(o.observations) == 0 {
		o.facts.Inventory = s.applier.Inventory()
		o.observations = s.view.Snapshot()
	}
	o.findings = slices.Concat(s.findings(), o.notes)
	if o.facts.State == federation.ClusterReady {
		o.findings = append(o.findings, o.faults...) // otherwise the probes say more
	}
}

func (s *session) findings() []federation.Finding {
	all := append(s.applier.Findings(), s.anonymous()...)
	for w, err := range s.blocked() {
		if !s.applies(w) {
			continue // the facts say so
		}
		f := federation.Finding{
			ID: "D07", Severity: federation.SeverityError, Cluster: s.cluster.Name,
			Object:  federation.ObjectRef{Group: w.Resource.Group, Kind: w.Resource.Resource},
			Message: err.Error() + ": drift and what should be pruned of this kind go unseen",
			Remedy:  fmt.Sprintf("allow the verbs list and watch on %s", w.Resource.GroupResource()),
		}
		if err.NotServed {
			f.Severity = federation.SeverityWarning
			f.Remedy = "install its CustomResourceDefinition, or remove the objects from the repository"
		}
		all = append(all, f)
	}
	return all
}
