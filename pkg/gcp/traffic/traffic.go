// Package traffic reports what serves behind each load balancer now: which clusters, on
// which ports, and why one does not. It is pure.
package traffic

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
)

// Of returns the state of each load balancer and of each cluster behind it, for the
// report and the schedule. Its arguments are the results of Build and Plan for the same
// observed state. The caller sets Since.
func Of(in gcp.Input, want gcp.Wanted, seen gcp.Observed, planned gcp.Planned) []federation.Balancer {
	t := traffic{in: in, want: want, seen: seen, changing: map[gcp.ID]bool{}}
	for _, a := range planned.Actions {
		t.changing[a.ID] = true
	}
	balancers := make([]federation.Balancer, 0, len(want.Balancers))
	for _, b := range want.Balancers {
		balancers = append(balancers, t.balancer(b))
	}
	return balancers
}

type traffic struct {
	in       gcp.Input
	want     gcp.Wanted
	seen     gcp.Observed
	changing map[gcp.ID]bool // resources with planned actions
}

func (t *traffic) balancer(b gcp.Balancer) federation.Balancer {
	parts := t.parts(b)
	out := federation.Balancer{
		Ingress: b.Ingress, App: b.App, File: b.File,
		Address: t.address(b), AddressName: b.Address.Name,
		Complete: b.Refused == "" && t.complete(parts), Refused: untrusted.New(b.Refused), Waits: b.Waits,
		Clusters: []federation.BalancerCluster{},
	}
	for _, id := range parts {
		out.Resources = append(out.Resources, id.String())
	}
	for _, name := range t.clusters(b) {
		out.Clusters = append(out.Clusters, t.cluster(b, name))
	}
	return out
}

// parts returns the resources of a load balancer, in the order of creation.
func (t *traffic) parts(b gcp.Balancer) []gcp.ID {
	found := map[gcp.ID]bool{}
	if b.Address != (gcp.ID{}) {
		found[b.Address] = true
	}
	pending := slices.Clone(b.Rules)
	for len(pending) > 0 {
		id := pending[0]
		pending = pending[1:]
		if found[id] || id == (gcp.ID{}) {
			continue
		}
		found[id] = true
		r, wanted := t.want.Resources[id]
		if !wanted {
			r = t.seen.Resources[id]
		}
		if r.Spec != nil {
			pending = append(pending, r.References()...)
		}
	}
	return slices.SortedFunc(maps.Keys(found), gcp.ID.Compare)
}

// address returns the IP of the observed forwarding rules.
func (t *traffic) address(b gcp.Balancer) string {
	for _, id := range b.Rules {
		r := t.seen.Resources[id]
		if rule, ok := r.Spec.(gcp.Rule); ok && t.want.Owner.Owns(r.Mark) && rule.IP != "" {
			return rule.IP
		}
	}
	return ""
}

// complete reports whether all parts exist and no action is planned for them.
func (t *traffic) complete(parts []gcp.ID) bool {
	return !slices.ContainsFunc(parts, func(id gcp.ID) bool {
		_, there := t.seen.Resources[id]
		return !there || t.changing[id]
	})
}

// clusters returns the clusters that are, or should be, behind a load balancer.
func (t *traffic) clusters(b gcp.Balancer) []string {
	names := map[string]bool{}
	for name := range b.Groups {
		names[name] = true
	}
	for _, name := range b.Clusters {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// cluster returns the state of one cluster behind a load balancer: that of the worst of
// its Service ports, since a site that answers in part is not served.
func (t *traffic) cluster(b gcp.Balancer, name string) federation.BalancerCluster {
	out := federation.BalancerCluster{Cluster: name}
	worst := -1
	for _, key := range slices.Sorted(maps.Keys(b.Services)) {
		p := t.port(b, name, key)
		out.Endpoints += p.endpoints
		out.Healthy += p.healthy
		if rank := slices.Index(worstFirst, p.state); worst < 0 || rank < worst {
			worst, out.State, out.Reason = rank, p.state, untrusted.New(p.reason)
		}
	}
	switch known := t.seen.Complete[gcp.KindURLMap] && t.seen.Complete[gcp.KindService]; {
	case worst >= 0:
	case known && t.drains(name):
		out.State = federation.TrafficDrained // nothing leads to it
	default:
		out.State, out.Reason = federation.TrafficWaiting, untrusted.New(cmp.Or(b.Refused, "no Service port is known yet"))
	}
	blind := t.blindness(name)
	switch {
	case blind == "" || out.State == federation.TrafficDrained:
	case out.State == federation.TrafficServing || out.State == federation.TrafficDraining:
		out.Reason = untrusted.New(blind)
	case out.State == federation.TrafficUnhealthy:
		out.Reason = untrusted.Textf("%s; %s", blind, out.Reason)
	default:
		out.State, out.Reason = federation.TrafficUnknown, untrusted.New(blind)
	}
	return out
}

// worstFirst orders the states in which a cluster's Service ports can be.
var worstFirst = []federation.TrafficState{
	federation.TrafficDraining, federation.TrafficUnknown, federation.TrafficUnhealthy, federation.TrafficNone,
	federation.TrafficWaiting, federation.TrafficServing, federation.TrafficDrained,
}

// blindness returns why a cluster's facts are of no use; empty if they are.
func (t *traffic) blindness(name string) string {
	if !slices.ContainsFunc(t.in.Federation.Clusters, func(c federation.Cluster) bool { return c.Name == name }) {
		return "it is no longer a member of the federation"
	}
	return balancer.Blindness(t.in.Facts.Of(name))
}

// portTraffic is the state of one cluster at one Service port.
type portTraffic struct {
	state              federation.TrafficState
	reason             string
	endpoints, healthy int
}

func (t *traffic) port(b gcp.Balancer, cluster, key string) portTraffic {
	id := b.Services[key]
	seen, there := t.seen.Resources[id]
	service, _ := seen.Spec.(gcp.Service)
	p := portTraffic{}
	var unhealthy, unprobed, behind int
	for _, group := range b.Groups[cluster] {
		if !t.belongs(group, key) {
			continue
		}
		p.endpoints += t.size(group)
		if !slices.ContainsFunc(service.Backends, func(backend gcp.Backend) bool { return backend.Group == group }) {
			continue
		}
		behind++
		health := t.seen.Health[id][group]
		p.healthy += health.Healthy
		unhealthy += health.Unhealthy
		if health.At.IsZero() || health.Healthy+health.Unhealthy == 0 {
			unprobed++
		}
	}
	_, draining := t.want.Resources[id].Mark.Draining[cluster]
	_, drained := seen.Mark.Draining[cluster]
	switch {
	case !there && !t.seen.Complete[gcp.KindService]:
		p.state, p.reason = federation.TrafficUnknown, "the backend services cannot be read"
	case behind > 0 && (draining || drained && t.drains(cluster)):
		p.state, p.reason = federation.TrafficDraining, "connections have "+fmt.Sprint(balancer.DrainSeconds)+" s to end"
	case behind == 0 && t.drains(cluster):
		p.state = federation.TrafficDrained
	case p.endpoints == 0:
		p.state, p.reason = federation.TrafficNone, "no node can take traffic for "+key
	case p.healthy > 0:
		p.state = federation.TrafficServing
	case behind == 0:
		p.state, p.reason = federation.TrafficWaiting, "the load balancer is being created"
	case unhealthy == 0 || unprobed == behind:
		p.state, p.reason = federation.TrafficWaiting, "not probed yet"
	default:
		p.state, p.reason = federation.TrafficUnhealthy, t.suspect(b, cluster, key)
	}
	return p
}

// belongs reports whether a group belongs to a Service port.
func (t *traffic) belongs(group gcp.ID, key string) bool {
	r, wanted := t.want.Resources[group]
	if !wanted {
		r = t.seen.Resources[group]
	}
	return r.Mark.Service == key
}

// size returns how many endpoints a group has, as observed if possible.
func (t *traffic) size(group gcp.ID) int {
	g, ok := t.seen.Resources[group].Spec.(gcp.Group)
	if !ok {
		g, _ = t.want.Resources[group].Spec.(gcp.Group)
	}
	if g.Endpoints == nil {
		return int(g.Size)
	}
	return len(g.Endpoints)
}

// drains reports whether a cluster should lose its traffic.
func (t *traffic) drains(name string) bool {
	for _, c := range t.in.Federation.Clusters {
		if c.Name == name {
			return c.Drain || c.Lost
		}
	}
	return true
}

// suspect returns a likely reason why all endpoints of a cluster fail their probes.
func (t *traffic) suspect(b gcp.Balancer, cluster, key string) string {
	for _, group := range b.Groups[cluster] {
		g, ok := t.seen.Resources[group].Spec.(gcp.Group)
		if !ok || g.Type != gcp.GroupOfMachines || !t.belongs(group, key) || !t.seen.Complete[gcp.KindFirewall] {
			continue
		}
		port := t.seen.Resources[group].Mark.NodePort
		open := func(r gcp.Resource) bool {
			rule, ok := r.Spec.(gcp.Firewall)
			return ok && !rule.Disabled && rule.Network == g.Network && slices.Contains(rule.Ports, port)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(t.seen.Resources)), open) {
			return fmt.Sprintf("all probes of %s fail, and no firewall rule made by fedsync admits them at port %d", key, port)
		}
	}
	return "all probes of " + key + " fail"
}
