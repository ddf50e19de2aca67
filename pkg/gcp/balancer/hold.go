package balancer

import (
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// holdFronts holds the resources of the fronts that are refused or wait. The endpoints
// of their groups still follow the nodes.
func (b *builder) holdFronts() {
	unread := !b.seen.Complete[gcp.KindURLMap]
	for _, f := range b.fronts {
		if f.active() {
			continue
		}
		for _, r := range b.ours("") {
			if r.Mark.Ingress == gcp.RefText(f.ref) {
				b.hold(r.ID, f.idle)
			}
		}
		services := b.observedServices(f)
		if unread {
			// Which services belong to this front is not known: all of them may.
			services = nil
			for _, r := range b.ours(gcp.KindService) {
				services = append(services, r.ID)
			}
		}
		for _, id := range services {
			b.holdService(f, id)
		}
		b.want.Balancers = append(b.want.Balancers, b.heldBalancer(f, services))
		b.refer(f)
	}
}

// refer keeps the resources that an idle front's annotations name among those that are
// read: without them, the front cannot be judged later.
func (b *builder) refer(f *front) {
	if f.ingress == nil {
		return
	}
	refs := []gcp.Resource{{ID: gcp.ID{Kind: gcp.KindAddress, Name: addressName(f)}, Spec: gcp.Address{}}}
	for _, name := range preShared(f) {
		refs = append(refs, gcp.Resource{ID: gcp.ID{Kind: gcp.KindCertificate, Name: name}, Spec: gcp.Certificate{}})
	}
	for _, r := range refs {
		if gcp.ValidName.MatchString(r.ID.Name) {
			b.referTo(r, f.idle)
		}
	}
}

// referTo wants a resource of another owner only so that it is read.
func (b *builder) referTo(r gcp.Resource, reason string) {
	if _, wanted := b.want.Resources[r.ID]; !wanted {
		b.want.Resources[r.ID] = r
		b.hold(r.ID, reason)
	}
}

// observedServices returns the backend services that a front's URL maps lead to.
func (b *builder) observedServices(f *front) []gcp.ID {
	var services []gcp.ID
	for _, r := range b.frontResources(f, gcp.KindURLMap) {
		for _, id := range r.References() {
			if _, ok := ownSpec[gcp.Service](b, id); ok && !slices.Contains(services, id) {
				services = append(services, id)
			}
		}
	}
	slices.SortFunc(services, gcp.ID.Compare)
	return services
}

// holdService holds a backend service with its health check and groups, unless an
// active front wants it too.
func (b *builder) holdService(f *front, id gcp.ID) {
	if _, wanted := b.want.Resources[id]; wanted {
		return
	}
	b.hold(id, f.idle)
	service, _ := ownSpec[gcp.Service](b, id)
	b.hold(service.HealthCheck, f.idle)
	for _, backend := range service.Backends {
		b.hold(backend.Group, f.idle)
	}
	key := b.seen.Resources[id].Mark.Service
	if key == "" {
		return
	}
	for _, r := range b.ours(gcp.KindGroup) {
		if r.Mark.Service != key {
			continue
		}
		b.hold(r.ID, f.idle)
		if c := b.byName[r.Mark.Cluster]; c != nil {
			if followed, ok := b.follow(c, r); ok {
				b.want.Resources[r.ID] = followed
			}
		}
	}
}

// heldBalancer lists the resources of a load balancer that is left unchanged.
func (b *builder) heldBalancer(f *front, services []gcp.ID) gcp.Balancer {
	balancer := gcp.Balancer{
		Ingress: f.ref, App: f.app, File: f.file, Refused: f.idle, Waits: f.waits(),
		Clusters: b.behind(f),
		Services: map[string]gcp.ID{}, Groups: map[string][]gcp.ID{},
	}
	for _, r := range b.frontResources(f, gcp.KindRule) {
		balancer.Rules = append(balancer.Rules, r.ID)
		rule, _ := r.Spec.(gcp.Rule)
		balancer.Address = b.addressOf(rule)
	}
	keys := map[string]bool{}
	for _, id := range services {
		if key := b.seen.Resources[id].Mark.Service; key != "" {
			balancer.Services[key] = id
			keys[key] = true
		}
	}
	for _, r := range b.ours(gcp.KindGroup) {
		if keys[r.Mark.Service] {
			balancer.Groups[r.Mark.Cluster] = append(balancer.Groups[r.Mark.Cluster], r.ID)
		}
	}
	return balancer
}

// addressOf returns the observed address that a forwarding rule uses.
func (b *builder) addressOf(rule gcp.Rule) gcp.ID {
	var found []gcp.ID
	for id, r := range b.seen.Resources {
		if address, ok := r.Spec.(gcp.Address); ok && address.IP != "" && address.IP == rule.IP {
			found = append(found, id)
		}
	}
	if len(found) == 0 {
		return gcp.ID{}
	}
	return slices.MinFunc(found, gcp.ID.Compare)
}

// judgeHealth reports the clusters whose endpoints all fail their probes, if fedsync
// knows the likely cause.
func (b *builder) judgeHealth() {
	for _, balancer := range b.want.Balancers {
		for _, c := range b.clusters {
			if c.cluster.Zone == "" || !b.allUnhealthy(balancer, c.name) {
				continue
			}
			b.report(federation.Finding{
				ID: federation.FindingBalancer, Severity: federation.SeverityWarning, Cluster: c.name,
				App: balancer.App, Object: balancer.Ingress, File: balancer.File,
				Message: untrusted.Textf("all endpoints of cluster %s, which is outside Google Cloud, fail their health checks", c.name),
				Remedy: untrusted.New("check that its nodes can be reached from the VPC by VPN or Interconnect without NAT, that its firewall admits " +
					ProbeRanges[0] + " and " + ProbeRanges[1] + " at the node ports, and that the Cloud Router advertises both ranges to it"),
			})
		}
	}
}

// allUnhealthy reports whether a cluster was probed and has no healthy endpoint.
func (b *builder) allUnhealthy(balancer gcp.Balancer, cluster string) bool {
	unhealthy := 0
	for _, service := range balancer.Services {
		for _, group := range balancer.Groups[cluster] {
			health := b.seen.Health[service][group]
			if health.Healthy > 0 {
				return false
			}
			unhealthy += health.Unhealthy
		}
	}
	return unhealthy > 0
}
