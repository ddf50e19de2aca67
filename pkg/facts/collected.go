package facts

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/watch"
)

// Facts fills in what the collector knows, from NodePorts down to Blind, and leaves the
// rest of f unchanged. The slices are shared between callers and never changed; they stay
// the same until something changes.
func (c *Collector) Facts(now time.Time, f *federation.ClusterFacts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.suspended() && c.work.advance(now) {
		c.workStale = true
	}
	c.refresh()
	f.PortsKnown, f.NodePorts = c.facts.PortsKnown, c.facts.NodePorts
	f.Workloads = c.facts.Workloads
	f.Zones, f.Regions = c.facts.Zones, c.facts.Regions
	f.NodesKnown, f.Nodes = c.facts.NodesKnown, c.facts.Nodes
	f.ServicesKnown, f.Services = c.facts.ServicesKnown, c.facts.Services
	f.IngressesKnown = c.facts.IngressesKnown
	f.Ingresses, f.IngressUID = c.facts.Ingresses, c.facts.IngressUID
	f.Endpoints = c.facts.Endpoints
	f.Quotas = c.facts.Quotas
	f.Certificates = c.facts.Certificates
	f.AutoscalersKnown, f.Autoscalers = c.facts.AutoscalersKnown, c.facts.Autoscalers
	f.StorageClassesKnown, f.StorageClasses = c.facts.StorageClassesKnown, c.facts.StorageClasses
	f.IngressClassesKnown, f.IngressClasses = c.facts.IngressClassesKnown, c.facts.IngressClasses
	f.Blind = c.facts.Blind
}

// Reads reports whether the events of a watch are needed for decisions: node ports, our
// workloads, and pods that wait for room.
func (c *Collector) Reads(w watch.Watch) bool {
	return slices.Contains(c.Required(), w) || c.isWorkload(w)
}

// Settled reports whether the facts are complete. Each required watch has listed, or may
// not; the watch of autoscalers has been tried; and no question about ReplicaSets is
// open.
func (c *Collector) Settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.Required() {
		if err := c.failed[w]; !c.listed[w] && (err == nil || !err.Blocked()) {
			return false
		}
	}
	// Whether an autoscaler in Git exists decides who sets replicas. If autoscalers
	// cannot be listed, all of those in Git are assumed to exist.
	if err := c.failed[scalersWatch]; !c.listed[scalersWatch] && (err == nil || !err.Lasting()) {
		return false
	}
	return !c.work.owners.open()
}

// refresh updates the outdated facts.
func (c *Collector) refresh() {
	c.relabel()
	ours := func(label string) bool { return c.labels[label] }
	services := c.services.takeStale()
	if services {
		c.facts.NodePorts = portFacts(c.services.kept)
	}
	if c.workStale {
		c.facts.Workloads, c.workStale = c.work.facts(ours), false
		c.blindStale = true // ReplicaSets may be refused
	}
	if c.nodes.takeStale() {
		c.facts.Nodes = nodeFacts(c.nodes.kept)
		c.facts.Zones, c.facts.Regions = placeFacts(c.nodes.kept)
	}
	if c.routes.takeStale() {
		c.facts.Ingresses = ingressFacts(c.routes.kept, ours)
		c.names = namedSecrets(c.routes.kept, ours)
		c.certs.stale, services = true, true
		c.routed = slices.ContainsFunc(c.facts.Ingresses, func(i federation.Ingress) bool { return i.Ours })
	}
	if services {
		c.facts.Services = serviceFacts(c.services.kept, c.facts.Ingresses)
	}
	if c.slices.takeStale() {
		c.facts.Endpoints = endpoints(c.slices.kept, ours)
	}
	if c.quotas.takeStale() {
		c.facts.Quotas = quotaFacts(c.quotas.kept)
	}
	if c.certs.takeStale() || c.blindStale {
		c.facts.Certificates = certificateFacts(c.names, c.certs.kept, c.listed)
	}
	c.refreshClasses(ours)
	if c.blindStale {
		c.facts.Blind, c.blindStale = c.blindFacts(), false
	}
	c.facts.PortsKnown = c.complete(servicesWatch)
	c.facts.IngressesKnown = c.complete(ingressesWatch)
	c.facts.ServicesKnown = c.complete(servicesWatch) && c.facts.IngressesKnown
	c.facts.NodesKnown = c.complete(nodesWatch)
	c.facts.IngressUID = c.uid
	c.facts.IngressUID.Known = c.complete(uidWatch)
}

// refreshClasses updates the facts about autoscalers and classes.
func (c *Collector) refreshClasses(ours func(label string) bool) {
	if c.scalers.takeStale() {
		c.facts.Autoscalers = scalerFacts(c.scalers.kept, ours)
	}
	if c.claims.takeStale() {
		c.waits = false
		for _, label := range c.claims.kept {
			c.waits = c.waits || ours(label)
		}
	}
	if c.storage.takeStale() {
		c.facts.StorageClasses = inOrder(c.storage.kept)
	}
	if c.classes.takeStale() {
		c.facts.IngressClasses = inOrder(c.classes.kept)
	}
	c.facts.AutoscalersKnown = c.complete(scalersWatch)
	c.facts.StorageClassesKnown = c.complete(storageWatch)
	c.facts.IngressClassesKnown = c.complete(classesWatch)
}

// relabel checks again which labels are ours.
func (c *Collector) relabel() {
	c.forgetLabels()
	for label, before := range c.labels {
		if now := c.options.Ours(label); now != before {
			c.labels[label] = now
			c.workStale, c.routes.stale, c.slices.stale = true, true, true
			c.scalers.stale, c.claims.stale = true, true
		}
	}
}

// forgetLabels drops the values that no object has any more, whenever their number may
// have doubled: anyone who may write objects can make up values.
func (c *Collector) forgetLabels() {
	if len(c.labels) < c.manyLabels {
		return
	}
	used := map[string]bool{}
	for _, i := range c.routes.kept {
		used[i.label] = true
	}
	for _, s := range c.slices.kept {
		used[s.label] = true
	}
	for _, w := range c.work.byName {
		used[w.label] = true
	}
	for _, s := range c.scalers.kept {
		used[s.label] = true
	}
	for _, label := range c.claims.kept {
		used[label] = true
	}
	maps.DeleteFunc(c.labels, func(label string, _ bool) bool { return !used[label] })
	c.manyLabels = max(firstManyLabels, 2*len(c.labels))
}

// blindFacts names each unreadable resource once, even if several of its watches fail. A
// single failure that may be temporary is not reported. The watches of our workloads and
// claims are reported by the package that requests them.
func (c *Collector) blindFacts() []federation.Blind {
	var list []federation.Blind
	for w, err := range c.failed {
		if !err.Lasting() || c.isWorkload(w) || c.isClaims(w) {
			continue
		}
		list = append(list, federation.Blind{Resource: w.Resource.GroupResource().String(), Failure: err.Failure, Error: untrusted.Excerpt(err.Error())})
	}
	if refused := c.work.owners.refused; refused != "" {
		list = append(list, federation.Blind{
			Resource: replicaSetsResource.GroupResource().String(), Failure: federation.FailureForbidden, Error: untrusted.Excerpt(refused),
		})
	}
	slices.SortFunc(list, func(a, b federation.Blind) int {
		return cmp.Or(strings.Compare(a.Resource, b.Resource), strings.Compare(a.Error.String(), b.Error.String()))
	})
	return slices.CompactFunc(list, func(a, b federation.Blind) bool { return a.Resource == b.Resource })
}
