package member

import (
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/standing"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/watch"
)

// What a session reports.

// report adds what the applier and the watches know to the outcome, without the secrets
// of the connection.
func (s *session) report(o *Outcome) {
	s.fill(o)
	secrets := s.client.Secrets
	if secrets.Found() {
		*o = secret.Value(secrets, *o)
		return
	}
	// The watches do not check the answers to writes for secrets.
	o.Findings, o.Own, o.Changes = secret.Value(secrets, o.Findings), secret.Value(secrets, o.Own), secret.Value(secrets, o.Changes)
	o.Differences = secret.Value(secrets, o.Differences)
}

func (s *session) fill(o *Outcome) {
	now := time.Now()
	s.mu.Lock()
	changes := s.changes
	stale := s.standAt.IsZero() || s.standOf != changes || now.Sub(s.standAt) > standingFresh
	begun, seen := s.begun, s.seen
	s.mu.Unlock()
	if stale {
		standing := s.applier.Standing(now)
		s.mu.Lock()
		s.standing, s.standAt, s.standOf = standing, now, changes
		if standing.Tried && begun.Number == s.begun.Number && !s.timed && s.Applied != nil {
			s.timed = true
			s.Applied(now.Sub(s.begunAt))
		}
		if whole := begun.Number > 0 && !begun.Provisional && begun.Revision == standing.Revision; whole && standing.Tried {
			s.revision = standing.Revision
			if standing.Complete {
				s.applied = standing.Revision
			}
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	standing, compared := s.standing, s.comparison
	o.Revision = s.revision
	if s.applied.SHA != "" {
		o.Applied = s.applied
	}
	s.mu.Unlock()

	if seen { // otherwise the previous session's facts stay
		s.collector.Facts(now, &o.Facts)
	}
	last := s.prober.Last()
	o.Facts.Failed, o.Facts.Probes = last.Failed, last.Probes
	if o.Facts.Synced || len(o.Observations) == 0 {
		o.Facts.Inventory = s.applier.Inventory()
		o.Observations = s.observations()
	}
	o.Begun, o.Tried, o.Done, o.Final = begun.Number, standing.Tried, standing.Complete, standing.Final
	o.Changes = standing.Changes
	o.Findings = slices.Concat(standing.Findings, standing.Notes, s.addresses.findings())
	o.Own = s.own(standing, o.Facts.State)
	o.Blind = false
	for _, w := range s.applies() {
		if st := s.watcher.State(w); st.Err != nil && st.Err.Blocked() && s.isOfKind(w) {
			o.Blind = true
		}
	}
	if begun.Excluded != "" {
		o.Tried, o.Final, o.Done = true, true, false // nothing more will change
		o.Changes, o.Findings = nil, nil
		return
	}
	if s.claim != nil && o.Facts.State == federation.ClusterReady && isRefused(s.claim.Verdict(now)) {
		o.Tried, o.Final, o.Done = true, true, false
	}
	if s.ReadOnly {
		o.Changes, o.Findings = nil, nil // nothing was tried: see Differences
		o.Compared = compared.order == o.Handed && compared.err == nil
		o.Differences = compared.differences
		o.Begun, o.Tried, o.Final = compared.order, compared.order > 0, true
		o.Done = o.Compared && len(compared.differences) == 0
		o.Revision = federation.Revision{}
		if compared.order > 0 {
			o.Revision = begun.Revision
		}
		if !o.Done {
			o.Applied = federation.Revision{}
		} else {
			o.Applied = begun.Revision
		}
	}
}

// observations returns what the watches observe of our objects, and what is known about
// Jobs that ended and are gone.
func (s *session) observations() []federation.Observation {
	seen, ended := s.view.Snapshot(), s.applier.Ended()
	if len(ended) == 0 {
		return seen // shared by all callers
	}
	there := map[federation.ObjectRef]bool{}
	for _, o := range seen {
		there[o.Object] = true
	}
	ended = slices.DeleteFunc(ended, func(o federation.Observation) bool { return there[o.Object] })
	all := slices.Concat(seen, ended)
	slices.SortFunc(all, func(x, y federation.Observation) int { return x.Object.Compare(y.Object) })
	return all
}

// isRefused reports whether nothing is written to the cluster until a user removes the
// obstacle.
func isRefused(v claim.Verdict) bool {
	switch v.Action {
	case claim.Yield, claim.Damaged, claim.Foreign:
		return true
	case claim.Blind, claim.Refresh, claim.Take:
		return apierrors.IsForbidden(v.Err)
	case claim.Wait, claim.Write, claim.Left:
	}
	return false
}

// own returns the problems of the cluster itself.
func (s *session) own(standing standing.Standing, state federation.ClusterState) []federation.Finding {
	if state != federation.ClusterReady {
		return nil // the probes say more
	}
	all := slices.Clone(standing.Own)
	for _, w := range s.applies() {
		if st := s.watcher.State(w); w != s.watches.claim && st.Err != nil && st.Err.Lasting() {
			all = append(all, s.watchFinding(w, st.Err))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != "" {
		all = append(all, federation.Finding{
			ID: federation.FindingPermission, Severity: federation.SeverityWarning, Cluster: s.Cluster.Name,
			Object:  federation.ObjectRef{Kind: "Namespace", Name: "kube-system"},
			Message: untrusted.New("cannot identify the cluster: " + s.refused),
			Remedy:  untrusted.Const("allow the verb get on the Namespace kube-system; until then no cluster that left " + federation.FileName + " is emptied"),
		})
	}
	return all
}

// watchFinding returns the finding for a watch that fails.
func (s *session) watchFinding(w watch.Watch, err *watch.Error) federation.Finding {
	f := federation.Finding{
		ID: federation.FindingPermission, Severity: federation.SeverityError, Cluster: s.Cluster.Name,
		Object:  federation.ObjectRef{Group: w.Resource.Group, Kind: w.Resource.Resource},
		Message: untrusted.New(err.Error() + ": drift and objects to prune of this kind are not detected"),
		Remedy:  untrusted.Textf("allow the verbs list and watch on %s", w.Resource.GroupResource()),
	}
	if w == s.watches.namespaces || w == s.watches.definitions {
		f.Severity = federation.SeverityWarning
		f.Message = untrusted.New(err.Error() + ": objects that wait for one of them are retried only from time to time")
	}
	switch {
	case err.NotServed:
		f.Severity = federation.SeverityWarning
		f.Remedy = untrusted.Const("install its CustomResourceDefinition, or remove the objects from the repository")
	case !err.Blocked():
		f.ID, f.Severity = federation.FindingWatchFails, federation.SeverityWarning
		f.Remedy = untrusted.Const("none: fedsync retries; if it persists, check the API server and any proxy before it")
	}
	return f
}
