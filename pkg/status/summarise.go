package status

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Summarise combines everything into one report. It is pure: equal input yields an equal
// report.
//
// The state is a success only if all of the following hold. Every cluster that counts
// (some app goes there, and it is not Lost) is Ready and in sync with the newest plan. No
// change failed, no finding is an error, and every object is healthy. Each Ingress has
// one address: that of fedsync's load balancer, which is complete and sends traffic to
// every cluster, or one shared by all clusters whose controller can share it.
//
// An error is a failure at once. Anything else that is missing makes the state pending
// until the deadline, and a failure that names it afterwards.
//
// A report is about one revision. What a cluster last ran for another revision is shown,
// but never judged.
func Summarise(in Input) Report {
	s := newSummary(in)
	s.rollUp()
	s.balancers()
	s.report.Addresses = s.addresses()

	s.sourceFindings()
	s.renderingWait()
	s.changeFindings()
	s.healthFindings()
	s.clusterWaits()
	s.portWaits()
	s.withheldWaits()
	s.addressFindings()
	s.balancerFindings()
	s.addressChanges()
	s.contextFindings()

	s.deadline()
	s.maintainedNotes()
	s.settleFindings()
	s.outcomes()
	state, words := s.state()
	s.report.State, s.report.Description = state, untrusted.New(words)
	return s.report
}

// wait is something that a success needs and that may still come.
type wait struct {
	finding federation.Finding // what it becomes at the deadline
	words   string             // for a pending description; empty if the counts imply it
	early   bool               // worth a warning before the deadline
	mild    bool               // only a warning at the deadline, too
}

// summary is the state of one call of Summarise.
type summary struct {
	Input
	report   Report
	previous *Report // of the same revision, else nil
	members  map[string]bool
	noted    noted
	waits    []wait
	ingress  map[*federation.Object]ingressWish
	balancer map[federation.ObjectRef]*Balancer
	overflow map[string]map[federation.ObjectRef]int64 // by cluster
	contexts map[string]string                         // by cluster; nil until needed
	plans    map[string]int                            // index of a cluster's plan; nil until needed
	places   map[string]int                            // index of a cluster in the report; nil until needed
}

func newSummary(in Input) *summary {
	s := &summary{
		Input: in, members: map[string]bool{}, noted: newNoted(), ingress: map[*federation.Object]ingressWish{},
		overflow: overflow(in.Plan),
	}
	s.Deadline = cmp.Or(s.Deadline, DefaultDeadline)
	if p := in.Previous; p != nil && p.Revision == in.Snapshot.Revision {
		s.previous = p
	}
	s.note(in.Findings...)
	s.report = Report{
		Repository: in.Repository,
		Revision:   in.Snapshot.Revision,
		Subject:    in.Snapshot.Subject,
		Committed:  in.Snapshot.Time,
		Forced:     in.Snapshot.Forced,
		FirstSeen:  in.FirstSeen,
		Time:       in.Now,
		Source:     in.Source,
		Clusters:   []Cluster{},
		Balancers:  []Balancer{},
		Ports:      []federation.PortDecision{},
		Replicas:   []federation.ReplicasDecision{},
	}
	if in.Rendering || in.Maintained != nil {
		s.Plan = nil
	}
	if in.Maintained != nil {
		s.report.Maintained = in.Maintained.Revision
		s.report.Ports, s.report.Replicas = in.Maintained.Ports, in.Maintained.Replicas
	}
	for _, name := range slices.Sorted(maps.Keys(in.Clusters)) {
		if s.judges(name) {
			s.note(in.Clusters[name].Findings...)
		}
	}
	if s.Plan != nil && len(in.Plan.Ports) > 0 {
		s.report.Ports = in.Plan.Ports
	}
	if s.Plan != nil && len(in.Plan.Replicas) > 0 {
		s.report.Replicas = in.Plan.Replicas
	}
	if in.Federation != nil {
		s.report.Federation, s.report.Folder = in.Federation.Name, in.Federation.Folder
	}
	return s
}

// judges reports whether the data about a cluster's objects belongs to the report's
// revision.
func (s *summary) judges(cluster string) bool {
	return !s.Rendering && s.Maintained == nil && s.Clusters[cluster].Revision.SHA == s.Snapshot.Revision.SHA
}

// rollUp makes the report's clusters, in the order of fedsync.yaml.
func (s *summary) rollUp() {
	if s.Federation == nil {
		return
	}
	for _, member := range s.Federation.Clusters {
		c := s.cluster(member)
		s.members[c.Name] = c.Targeted && !c.Lost
		s.report.Clusters = append(s.report.Clusters, c)
	}
}

func (s *summary) cluster(member federation.Cluster) Cluster {
	in := s.Clusters[member.Name]
	c := Cluster{
		Name: member.Name,
		Targeted: slices.ContainsFunc(s.Federation.Apps, func(a federation.App) bool {
			return a.Selector.Matches(member)
		}),
		Lost:    member.Lost,
		State:   cmp.Or(in.Facts.State, federation.ClusterPending),
		Failure: in.Facts.Failure,
		Error:   in.Facts.Error,
		Since:   in.Facts.Since,
		Version: in.Facts.Version,
		Probes:  Probes{Failed: in.Facts.Failed, Of: in.Facts.Probes},
		Applied: in.Applied,
		Current: in.Current && in.Applied.SHA == s.Snapshot.Revision.SHA && s.judges(member.Name),
		Health:  federation.Healthy,
		Objects: sorted(s.withoutConsumers(member.Name, in.Facts, withoutOverflow(in.Observations, s.overflow[member.Name]))),
		Changes: []Change{},
	}
	for _, o := range c.Objects {
		c.Health = worse(c.Health, o.Health)
		c.Desired += o.Desired
		if c.Visible() {
			c.Ready += o.Ready
		}
	}
	if !c.Visible() {
		c.Health = federation.Unknown
	}
	if c.Visible() && in.Facts.Synced {
		c.Zones, c.Regions, c.Endpoints = in.Facts.Zones, in.Facts.Regions, in.Facts.Endpoints
	}
	for _, change := range in.Changes {
		if change.Action == federation.ActionUnchanged {
			continue
		}
		shown := Change{Change: change}
		if change.Err != nil {
			shown.Error = untrusted.New(change.Err.Error())
		}
		c.Changes = append(c.Changes, shown)
	}
	return c
}

// worse returns the worse of two healths. An unrecognised health counts as Unknown.
func worse(a, b federation.Health) federation.Health {
	order := []federation.Health{federation.Healthy, federation.Progressing, federation.Degraded, federation.Unknown}
	i, j := slices.Index(order, a), slices.Index(order, b)
	if i < 0 || j < 0 {
		return federation.Unknown
	}
	return order[max(i, j)]
}

// deadline turns waits that lasted too long into failures.
func (s *summary) deadline() {
	if len(s.waits) == 0 {
		return
	}
	since := s.FirstSeen
	switch {
	case s.previous != nil && !s.previous.WaitingSince.IsZero():
		since = s.previous.WaitingSince
	case s.previous != nil || since.IsZero():
		since = s.Now
	}
	s.report.WaitingSince = since
	if s.Now.Sub(since) < s.Deadline {
		for _, w := range s.waits {
			if w.early {
				w.finding.Severity = federation.SeverityWarning
				s.add(w.finding)
			}
		}
		return
	}
	for _, w := range s.waits {
		w.finding.Severity = federation.SeverityError
		if w.mild {
			w.finding.Severity = federation.SeverityWarning
		}
		s.add(w.finding)
	}
	s.waits = nil
}

// settleFindings sets the time since when each finding exists, downgrades errors about
// clusters that do not count, and sorts them. It limits their number to what a reader can
// bear.
func (s *summary) settleFindings() {
	since := map[string]time.Time{}
	for _, r := range []*Report{s.Earlier, s.Previous} {
		if r == nil {
			continue
		}
		for _, f := range r.Findings {
			since[f.Key()] = f.Since
		}
	}
	all := s.noted.findings
	for i := range all {
		f := &all[i]
		if counts, known := s.members[f.Cluster]; known && !counts && f.Severity == federation.SeverityError {
			f.Severity = federation.SeverityWarning
		}
		if f.Since.IsZero() {
			f.Since = since[f.Key()]
		}
		if f.Since.IsZero() {
			f.Since = s.Now
		}
	}
	slices.SortStableFunc(all, federation.Finding.Compare)
	s.report.Findings = append([]federation.Finding{}, federation.ShortFindings(all)...)
}

// sorted returns the observations in the order of their references. It returns the same
// slice if they are sorted already, as those of a View are: copies for every report would
// dominate memory.
func sorted(observations []federation.Observation) []federation.Observation {
	byObject := func(a, b federation.Observation) int { return a.Object.Compare(b.Object) }
	switch {
	case len(observations) == 0:
		return []federation.Observation{}
	case slices.IsSortedFunc(observations, byObject):
		return slices.Clip(observations)
	}
	return slices.SortedStableFunc(slices.Values(observations), byObject)
}
