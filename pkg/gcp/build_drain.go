package gcp

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// The times of backend services, in seconds.
const (
	answerTimeout = 30 // for an answer
	drainSeconds  = 30 // that connections have to end
	drainMargin   = 10 // until it is certain that Google's front ends know
)

// drain takes the traffic of clusters away that leave: first their capacity, and when
// their connections have ended, their backends. It is refused where nobody would be
// left to serve.
func (b *builder) drain(p *servicePort, leavers []*clusterView, earlier Mark) {
	rest := b.serving(p)
	for _, c := range leavers {
		if !b.serves(p, c) {
			if !b.seen.Complete[KindGroup] || !p.exists && !b.seen.Complete[KindService] {
				b.keep(p, c) // nobody knows whether it serves
			}
			continue // not a backend: its groups go
		}
		if rest.backends == 0 && !b.seen.Complete[KindGroup] {
			b.keep(p, c) // nobody knows who else serves
			continue
		}
		if !rest.healthy && (rest.backends == 0 && c.member || b.mayServe(p, c)) {
			b.refuseDrain(p, c)
			continue
		}
		since := earlier.Draining[c.name]
		if since.IsZero() {
			since = b.now()
		}
		if b.in.Now.Sub(since) >= (drainSeconds+drainMargin)*time.Second || rest.backends == 0 {
			continue
		}
		if !p.markDraining(c.name, since) {
			b.keep(p, c) // it waits for the others
			continue
		}
		for _, r := range b.observedGroups(p, c) {
			if backend, ok := p.prior(r.ID); ok {
				backend.Capacity = 0
				p.backends[r.ID] = backend
				b.keepGroup(p, c, r)
			}
		}
	}
}

// markDraining notes since when a cluster drains; false where the mark would be too
// long for a description.
func (p *servicePort) markDraining(cluster string, since time.Time) bool {
	earlier := p.mark.Draining
	p.mark.Draining = map[string]time.Time{cluster: since}
	maps.Copy(p.mark.Draining, earlier)
	if len(p.mark.text()) > maxDescription {
		p.mark.Draining = earlier
		return false
	}
	return true
}

// serving says who would take the traffic.
type serving struct {
	backends int  // that have capacity
	healthy  bool // one of them has healthy endpoints
}

func (b *builder) serving(p *servicePort) serving {
	var s serving
	for id, backend := range p.backends {
		if backend.Capacity > 0 {
			s.backends++
			s.healthy = s.healthy || b.seen.Health[p.id][id].Healthy > 0
		}
	}
	return s
}

// serves reports whether a cluster has a backend.
func (b *builder) serves(p *servicePort, c *clusterView) bool {
	return slices.ContainsFunc(b.observedGroups(p, c), func(r Resource) bool { _, ok := p.prior(r.ID); return ok })
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

// refuseDrain keeps a cluster's traffic, and says so.
func (b *builder) refuseDrain(p *servicePort, c *clusterView) {
	if b.presence(p, c) == partJoins {
		b.join(p, c)
	} else {
		b.keep(p, c)
	}
	severity, wish := federation.SeverityWarning, "does not leave"
	if c.drained {
		severity, wish = federation.SeverityError, "is not drained"
	}
	b.report(federation.Finding{
		ID: findDrain, Severity: severity, Cluster: c.name, App: p.fronts[0].app, Object: p.service,
		Message: fmt.Sprintf("cluster %s %s: no other cluster has healthy endpoints for port %d of %s", c.name, wish, p.number, p.service),
		Remedy:  "bring another cluster to health first; fedsync goes on by itself then",
	})
}
