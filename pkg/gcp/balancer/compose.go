package balancer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// part is what one cluster contributes to a backend service.
type part int

const (
	partJoins  part = iota // its nodes take traffic
	partHolds              // its groups and backends stay
	partLeaves             // its backends are drained and removed
)

// contribution decides what a cluster contributes to a Service port.
func (b *builder) contribution(p *servicePort, c *clusterView) part {
	if c.leaving != "" {
		return partLeaves
	}
	return b.contributionOfMember(p, c)
}

// contributionOfMember decides what a cluster contributes if it is not leaving.
func (b *builder) contributionOfMember(p *servicePort, c *clusterView) part {
	_, withheld := c.withheld[p.service]
	switch {
	case !p.placed(c.name) && !b.mayBePlaced(p, c):
		return partLeaves
	case !p.placed(c.name) || withheld:
		return partHolds
	case c.services[p.service].object == nil:
		return partLeaves
	case b.nodePort(p, c) == 0 || c.blind != "":
		return partHolds
	}
	return partJoins
}

// mayBePlaced reports whether a cluster whose plan lacks the Ingress may still have it.
func (b *builder) mayBePlaced(p *servicePort, c *clusterView) bool {
	if !c.member {
		return false
	}
	if c.mute != "" || len(c.broken) > 0 || p.shared {
		return true
	}
	return slices.ContainsFunc(p.fronts, func(f *front) bool {
		_, withheld := c.withheld[f.ref]
		return withheld || b.unpruned(c, f.ref) != ""
	})
}

// compose decides which groups a Service port has, and which of them are backends.
func (b *builder) compose(p *servicePort) {
	p.groups, p.held, p.backends = map[string][]gcp.Resource{}, map[string][]gcp.ID{}, map[gcp.ID]gcp.Backend{}
	p.joined = map[string]bool{}
	p.observed, p.exists = ownSpec[gcp.Service](b, p.id)
	earlier := b.seen.Resources[p.id].Mark
	p.mark = gcp.Mark{
		Federation: b.owner.Federation, Source: b.owner.Source, Service: p.key, Rated: b.past(earlier.Rated),
	}
	var leavers []*clusterView
	for _, c := range b.clusters {
		switch b.contribution(p, c) {
		case partJoins:
			b.join(p, c)
		case partHolds:
			b.keep(p, c)
		case partLeaves:
			leavers = append(leavers, c)
		}
	}
	b.drain(p, leavers, earlier)
	b.keepUnread(p)
	b.rate(p)
}

// observedGroups returns the groups that a cluster has for a Service port, sorted.
func (b *builder) observedGroups(p *servicePort, c *clusterView) []gcp.Resource {
	return b.groups[groupOwner{c.name, p.key}]
}

// join wants those groups of a cluster that have endpoints, as backends.
func (b *builder) join(p *servicePort, c *clusterView) {
	p.joined[c.name] = true
	port := b.nodePort(p, c)
	places := map[gcp.ID]groupPlace{}
	for _, place := range c.nodes.joins {
		places[b.groupID(p, c, place, port)] = place
	}
	var former []gcp.Resource // at another node port
	for _, r := range b.observedGroups(p, c) {
		switch place := placeOf(r); {
		case r.Mark.NodePort != port:
			former = append(former, r)
		case places[r.ID] == (groupPlace{}):
			places[r.ID] = place
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(places), gcp.ID.Compare) {
		b.wantGroup(p, c, id, places[id], port)
	}
	for _, r := range former {
		if b.replaced(p, c, r) {
			continue
		}
		b.wantGroup(p, c, r.ID, placeOf(r), r.Mark.NodePort)
	}
}

func placeOf(r gcp.Resource) groupPlace {
	g, _ := r.Spec.(gcp.Group)
	return groupPlace{g.Type, r.ID.Zone, g.Network, g.Subnetwork}
}

// groupID returns the ID of a cluster's group at one place. The node port is part of
// the name: if it changes, the new group serves before the old one goes.
func (b *builder) groupID(p *servicePort, c *clusterView, place groupPlace, port int32) gcp.ID {
	readable := fmt.Sprintf("%s-%d-%s", p.service.Name, p.number, c.name)
	return gcp.ID{Kind: gcp.KindGroup, Zone: place.zone, Name: gcp.ResourceName(b.owner, gcp.KindGroup, readable,
		p.key, c.name, place.kind, place.zone, place.network, place.subnetwork, strconv.Itoa(int(port)))}
}

// wantGroup wants a group and makes it a backend, if it has endpoints.
func (b *builder) wantGroup(p *servicePort, c *clusterView, id gcp.ID, place groupPlace, port int32) {
	endpoints := b.endpoints(c, id, place, port)
	if len(endpoints) == 0 {
		return
	}
	p.groups[c.name] = append(p.groups[c.name], gcp.Resource{
		ID: id,
		Mark: gcp.Mark{
			Federation: b.owner.Federation, Source: b.owner.Source,
			Service: p.key, Cluster: c.name, NodePort: port,
		},
		Spec: gcp.Group{Type: place.kind, Network: place.network, Subnetwork: place.subnetwork, Endpoints: endpoints},
	})
	p.backends[id] = gcp.Backend{Group: id, Capacity: 1}
}

// endpoints returns the endpoints of one group: the nodes at its place, and those
// already in it that may stay.
func (b *builder) endpoints(c *clusterView, id gcp.ID, place groupPlace, port int32) []gcp.Endpoint {
	found := map[gcp.Endpoint]bool{}
	for e, at := range c.nodes.joins {
		if at == place {
			found[gcp.Endpoint{Instance: e.instance, Address: e.address, Port: port}] = true
		}
	}
	if observed, ok := ownSpec[gcp.Group](b, id); ok {
		for _, e := range observed.Endpoints {
			if e.Port == port && c.nodes.stays[nodeEndpoint{id.Zone, e.Instance, e.Address}] {
				found[e] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), gcp.Endpoint.Compare)
}

// replaced reports whether a group at a former node port can go: a group at the new
// one is healthy, or the former group serves nothing.
func (b *builder) replaced(p *servicePort, c *clusterView, former gcp.Resource) bool {
	if _, backend := p.prior(former.ID); !backend {
		return true
	}
	health := b.seen.Health[p.id]
	successors := false
	for _, g := range p.groups[c.name] {
		if g.Mark.NodePort == former.Mark.NodePort {
			continue
		}
		if health[g.ID].Healthy > 0 {
			return true
		}
		_, backend := p.prior(g.ID)
		successors = successors || backend
	}
	own := health[former.ID]
	return successors && !own.At.IsZero() && own.Healthy == 0
}

// prior returns the observed backend of a group.
func (p *servicePort) prior(group gcp.ID) (gcp.Backend, bool) {
	for _, backend := range p.observed.Backends {
		if backend.Group == group {
			return backend, true
		}
	}
	return gcp.Backend{}, false
}

// keep leaves the groups and backends that a cluster has for a Service port. If its
// nodes are known, the endpoints of its groups still follow them.
func (b *builder) keep(p *servicePort, c *clusterView) {
	for _, r := range b.observedGroups(p, c) {
		b.keepGroup(p, c, r)
		if backend, ok := p.prior(r.ID); ok {
			if backend.Capacity == 0 {
				backend.Capacity = 1 // it is no longer being drained
			}
			p.backends[r.ID] = backend
		}
	}
}

func (b *builder) keepGroup(p *servicePort, c *clusterView, r gcp.Resource) {
	if c.blind != "" {
		p.held[c.name] = append(p.held[c.name], r.ID)
		return
	}
	if followed, ok := b.follow(c, r); ok {
		p.groups[c.name] = append(p.groups[c.name], followed)
		return
	}
	p.held[c.name] = append(p.held[c.name], r.ID)
}

// follow returns an observed group with the endpoints that follow from its nodes; false
// if there are none.
func (b *builder) follow(c *clusterView, r gcp.Resource) (gcp.Resource, bool) {
	group, ok := r.Spec.(gcp.Group)
	if !ok || c.blind != "" || r.Mark.NodePort == 0 {
		return r, false
	}
	group.Endpoints = b.endpoints(c, r.ID, placeOf(r), r.Mark.NodePort)
	group.Size = 0
	return gcp.Resource{ID: r.ID, Mark: r.Mark, Spec: group}, len(group.Endpoints) > 0
}

// keepUnread leaves the backends whose groups could not be listed.
func (b *builder) keepUnread(p *servicePort) {
	if b.seen.Complete[gcp.KindGroup] {
		return
	}
	for _, backend := range p.observed.Backends {
		_, known := b.seen.Resources[backend.Group]
		_, wanted := p.backends[backend.Group]
		if !known && !wanted {
			p.backends[backend.Group] = backend
			b.hold(backend.Group, "it could not be read")
		}
	}
}
