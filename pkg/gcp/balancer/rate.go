package balancer

import (
	"math"
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

const (
	// defaultRate is the requests per second of one replica if no annotation sets them:
	// so many that the nearest region serves.
	defaultRate = 100_000
	// maxGroupRate is the API's limit on the rate of a group.
	maxGroupRate = math.MaxInt32
	// RatePace is the minimum time between two changes of rates.
	RatePace = time.Minute
)

// rate sets the backend rates of all clusters that take traffic. An existing rate
// changes by at most a tenth in each RatePace, so that a cluster which takes over is not
// flooded.
func (b *builder) rate(p *servicePort) {
	may := p.mark.Rated.IsZero() || b.in.Now.Sub(p.mark.Rated) >= RatePace
	changed := false
	for _, c := range b.clusters {
		groups := p.groups[c.name]
		if !p.joined[c.name] || len(groups) == 0 {
			continue
		}
		total := 0
		for _, g := range groups {
			total += size(g)
		}
		rate := b.clusterRate(p, c)
		for _, g := range groups {
			backend := p.backends[g.ID]
			backend.MaxRate = wholeRate(rate * float64(size(g)) / float64(total))
			if prior, ok := p.prior(g.ID); ok && prior.MaxRate > 0 && prior.MaxRate != backend.MaxRate {
				backend.MaxRate = step(prior.MaxRate, backend.MaxRate, may)
				changed = changed || backend.MaxRate != prior.MaxRate
			}
			p.backends[g.ID] = backend
		}
	}
	if changed || !p.exists {
		p.mark.Rated = b.now()
	}
}

func size(group gcp.Resource) int { return len(group.Spec.(gcp.Group).Endpoints) }

// wholeRate rounds a rate to a value that the API accepts.
func wholeRate(rate float64) float64 { return min(max(math.Round(rate), 1), maxGroupRate) }

// step returns the rate after one change towards another rate, if it may change.
func step(from, to float64, may bool) float64 {
	if !may {
		return from
	}
	most := max(math.Floor(from/10), 1)
	return wholeRate(min(max(to, from-most), from+most))
}

// clusterRate returns the requests per second that a cluster takes, by its Ready
// replicas and its weight.
func (b *builder) clusterRate(p *servicePort, c *clusterView) float64 {
	rate := 0.0
	for _, f := range p.users() {
		given, err := maxRate(f.ingress.Annotations)
		if err != nil {
			b.warn(f, federation.SeverityWarning, federation.FindingBalancer, "", err.Error(), "write a number, such as 100")
		}
		rate = max(rate, given)
	}
	service, err := b.service(c, p.service)
	if err != nil {
		return defaultRate
	}
	given, err := maxRate(service.Annotations)
	if err != nil {
		for _, f := range p.users() {
			b.warn(f, federation.SeverityWarning, federation.FindingBalancer, "", p.service.String()+": "+err.Error(), "write a number, such as 100")
		}
	}
	if given > 0 {
		rate = given
	}
	if rate == 0 {
		rate = defaultRate
	}
	var ready int64
	var counted []federation.ObjectRef
	for _, t := range c.templates(service) {
		if w, ok := c.facts.Workload(t.Workload); ok && !slices.Contains(counted, t.Workload) {
			ready += w.Ready
			counted = append(counted, t.Workload)
		}
	}
	weight := c.cluster.Weight
	if weight < 1 || weight > 100 {
		weight = 100
	}
	return rate * float64(max(ready, 1)) * float64(weight) / 100
}
