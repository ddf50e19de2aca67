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
	DrainSeconds  = 30 // that connections have to end
	DrainMargin   = 10 // until it is certain that Google's front ends know
)

// drain takes the traffic of clusters away that leave: first their capacity, and when
// their connections have ended, their backends. It is refused where nobody would be
// left to serve.
func (b *builder) drain(p *servicePort, leavers []*clusterView, earlier gcp.Mark) {
	rest := b.serving(p)
	for _, c := range leavers {
		since := b.past(earlier.Draining[c.name])
		ended := !since.IsZero() && b.in.Now.Sub(since) >= (DrainSeconds+DrainMargin)*time.Second
		switch b.judgeDrain(p, c, rest) {
		case drainOver:
		case drainUnsure:
			if since.IsZero() || !b.takeCapacity(p, c, since) {
				b.stay(p, c)
			}
		case drainRefused:
			b.stay(p, c)
			b.reportDrain(p, c)
		case drainGoesOn:
			if since.IsZero() {
				since = b.now()
			}
			if !ended && !b.takeCapacity(p, c, since) {
				b.stay(p, c) // until others have drained
			}
		}
	}
}

// past returns a time that a mark has, unless it is yet to come: then the clock was
// wrong when it was written, or is now, and nobody waits for it. That it is zero says
// that nothing is known.
func (b *builder) past(at time.Time) time.Time {
	if at.After(b.in.Now.Add(time.Minute)) {
		return time.Time{}
	}
	return at
}

// drainVerdict says how it goes on with a cluster that leaves.
type drainVerdict int

const (
	drainOver    drainVerdict = iota // it has no backends, or nobody misses them: its groups go
	drainUnsure                      // who serves is not known now: nothing changes
	drainRefused                     // nobody else serves
	drainGoesOn
)

func (b *builder) judgeDrain(p *servicePort, c *clusterView, rest serving) drainVerdict {
	groupsKnown := b.seen.Complete[gcp.KindGroup]
	switch {
	case !b.serves(p, c) && groupsKnown && (p.exists || b.seen.Complete[gcp.KindService]):
		return drainOver
	case !b.serves(p, c), rest.backends == 0 && !groupsKnown:
		return drainUnsure
	case rest.healthy:
		return drainGoesOn
	case rest.unasked:
		return drainUnsure
	case b.mayServe(p, c), rest.backends == 0 && c.member:
		return drainRefused
	case rest.backends == 0:
		return drainOver
	}
	return drainGoesOn
}

// takeCapacity leaves a cluster its backends without capacity; false where the mark
// that says so would be too long for a description.
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

// markDraining notes since when a cluster drains, unless the mark would be too long.
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

// serving says who would take the traffic.
type serving struct {
	backends int  // that have capacity
	unasked  bool // the health of one of them is not known
	healthy  bool // one of them has healthy endpoints
}

func (b *builder) serving(p *servicePort) serving {
	var s serving
	for id, backend := range p.backends {
		if backend.Capacity > 0 {
			s.backends++
			health := b.seen.Health[p.id][id]
			s.healthy = s.healthy || health.Healthy > 0
			s.unasked = s.unasked || health.At.IsZero()
		}
	}
	return s
}

// serves reports whether a cluster has a backend.
func (b *builder) serves(p *servicePort, c *clusterView) bool {
	return slices.ContainsFunc(b.observedGroups(p, c), func(r gcp.Resource) bool { _, ok := p.prior(r.ID); return ok })
}

// mayServe reports whether a cluster has healthy endpoints, or may have: nobody has
// asked yet.
func (b *builder) mayServe(p *servicePort, c *clusterView) bool {
	for _, r := range b.observedGroups(p, c) {
		if health := b.seen.Health[p.id][r.ID]; health.Healthy > 0 || health.At.IsZero() || health.Unhealthy == 0 {
			return true
		}
	}
	return false
}

// stay keeps a cluster's traffic although it is to leave.
func (b *builder) stay(p *servicePort, c *clusterView) {
	if b.presence(p, c) == partJoins {
		b.join(p, c)
	} else {
		b.keep(p, c)
	}
}

// reportDrain says that a cluster keeps its traffic.
func (b *builder) reportDrain(p *servicePort, c *clusterView) {
	severity, wish := federation.SeverityWarning, "does not leave"
	if c.drained {
		severity, wish = federation.SeverityError, "is not drained"
	}
	b.report(federation.Finding{
		ID: federation.FindingDrain, Severity: severity, Cluster: c.name, App: p.fronts[0].app, Object: p.service,
		Message: untrusted.Textf("cluster %s %s: no other cluster has healthy endpoints for port %d of %s", c.name, wish, p.number, p.service),
		Remedy:  untrusted.Const("bring another cluster to health first; fedsync goes on by itself then"),
	})
}
