package balancer

import (
	"maps"
	"slices"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// The times of backend services, in seconds.
const (
	answerTimeout = 30 // for an answer
	DrainSeconds  = 30 // for connections to end
	DrainMargin   = 10 // until all of Google's front ends certainly know
)

// drain removes the traffic of the clusters that leave: first their capacity and, when
// their connections have ended, their backends. It is refused if no other cluster would
// serve.
func (b *builder) drain(p *servicePort, leavers []*clusterView, earlier gcp.Mark) {
	rest := b.serving(p)
	for _, c := range leavers {
		since := b.past(earlier.Draining[c.name])
		ended := !since.IsZero() && b.in.Now.Sub(since) >= (DrainSeconds+DrainMargin)*time.Second
		switch b.judgeDrain(p, c, rest) {
		case drainDone:
		case drainUnsure:
			if since.IsZero() || !b.takeCapacity(p, c, since) {
				b.keepTraffic(p, c)
			}
		case drainRefused:
			b.keepTraffic(p, c)
			b.reportDrain(p, c)
		case drainProceeds:
			if since.IsZero() {
				since = b.now()
			}
			if !ended && !b.takeCapacity(p, c, since) {
				b.keepTraffic(p, c) // until other clusters have drained
			}
		}
	}
}

// past returns a time from a mark, or zero (unknown) if it is in the future: then the
// clock is wrong, or was when the mark was written, and nothing waits for that time.
func (b *builder) past(at time.Time) time.Time {
	if at.After(b.in.Now.Add(time.Minute)) {
		return time.Time{}
	}
	return at
}

// drainVerdict is what happens next with a cluster that leaves.
type drainVerdict int

const (
	drainDone    drainVerdict = iota // it has no backends, or none that are needed: its groups go
	drainUnsure                      // which clusters serve is not known now: nothing changes
	drainRefused                     // no other cluster serves
	drainProceeds
)

func (b *builder) judgeDrain(p *servicePort, c *clusterView, rest serving) drainVerdict {
	groupsKnown := b.seen.Complete[gcp.KindGroup]
	switch {
	case !b.serves(p, c) && groupsKnown && (p.exists || b.seen.Complete[gcp.KindService]):
		return drainDone
	case !b.serves(p, c), rest.backends == 0 && !groupsKnown:
		return drainUnsure
	case rest.healthy:
		return drainProceeds
	case rest.unknown:
		return drainUnsure
	case b.mayServe(p, c), rest.backends == 0 && c.member:
		return drainRefused
	case rest.backends == 0:
		return drainDone
	}
	return drainProceeds
}

// takeCapacity sets the capacity of a cluster's backends to 0. It returns false, and
// changes nothing, if the mark that records it would not fit in a description.
func (b *builder) takeCapacity(p *servicePort, c *clusterView, since time.Time) bool {
	if !p.markDraining(c.name, since) {
		return false
	}
	for _, r := range b.observedGroups(p, c) {
		if backend, ok := p.prior(r.ID); ok {
			backend.Capacity = 0
			p.backends[r.ID] = backend
			b.keepGroup(p, c, r)
		}
	}
	return true
}

// markDraining records since when a cluster drains. It returns false if the mark would
// be too long.
func (p *servicePort) markDraining(cluster string, since time.Time) bool {
	earlier := p.mark.Draining
	p.mark.Draining = map[string]time.Time{cluster: since}
	maps.Copy(p.mark.Draining, earlier)
	if len(p.mark.Text()) > gcp.MaxDescription {
		p.mark.Draining = earlier
		return false
	}
	return true
}

// serving describes the backends that would take the traffic.
type serving struct {
	backends int  // those that have capacity
	unknown  bool // the health of one of them is not known
	healthy  bool // one of them has healthy endpoints
}

func (b *builder) serving(p *servicePort) serving {
	var s serving
	for id, backend := range p.backends {
		if backend.Capacity > 0 {
			s.backends++
			health := b.seen.Health[p.id][id]
			s.healthy = s.healthy || health.Healthy > 0
			s.unknown = s.unknown || health.At.IsZero()
		}
	}
	return s
}

// serves reports whether a cluster has a backend.
func (b *builder) serves(p *servicePort, c *clusterView) bool {
	return slices.ContainsFunc(b.observedGroups(p, c), func(r gcp.Resource) bool { _, ok := p.prior(r.ID); return ok })
}

// mayServe reports whether a cluster has healthy endpoints, or may have some because
// their health is not known yet.
func (b *builder) mayServe(p *servicePort, c *clusterView) bool {
	for _, r := range b.observedGroups(p, c) {
		if health := b.seen.Health[p.id][r.ID]; health.Healthy > 0 || health.At.IsZero() || health.Unhealthy == 0 {
			return true
		}
	}
	return false
}

// keepTraffic leaves a cluster its traffic although it should leave.
func (b *builder) keepTraffic(p *servicePort, c *clusterView) {
	if b.contributionOfMember(p, c) == partJoins {
		b.join(p, c)
	} else {
		b.keep(p, c)
	}
}

// reportDrain reports that a cluster keeps its traffic.
func (b *builder) reportDrain(p *servicePort, c *clusterView) {
	severity, wish := federation.SeverityWarning, "keeps its traffic"
	if c.drained {
		severity, wish = federation.SeverityError, "is not drained"
	}
	b.report(federation.Finding{
		ID: federation.FindingDrain, Severity: severity, Cluster: c.name, App: p.fronts[0].app, Object: p.service,
		Message: untrusted.Textf("cluster %s %s: no other cluster has healthy endpoints for port %d of %s", c.name, wish, p.number, p.service),
		Remedy:  untrusted.Const("make another cluster healthy first; fedsync then continues on its own"),
	})
}
