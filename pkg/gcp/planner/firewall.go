package planner

import (
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// narrowing is a firewall rule that should admit less, as soon as the rest is not needed.
type narrowing struct {
	want, wide gcp.Resource
	after      []int
}

// adjustFirewall plans the changes of a firewall rule: it admits more before any backend
// needs it, and less only after the backends concerned are gone. Source ranges are the
// load balancer's and equal for all backends, so they need not wait.
func (p *planner) adjustFirewall(w, o gcp.Resource) {
	want, _ := w.Spec.(gcp.Firewall)
	now, _ := o.Spec.(gcp.Firewall)
	wide := w
	wide.Spec = gcp.Firewall{
		Network: want.Network,
		Ranges:  want.Ranges,
		Ports:   gcp.SortedSet(append(gcp.SortedSet(want.Ports), now.Ports...)),
		Tags:    gcp.SortedSet(append(gcp.SortedSet(want.Tags), now.Tags...)),
	}
	var early []int
	if fields := gcp.Changed(wide, o); len(fields) > 0 {
		a := gcp.Action{Verb: gcp.Update, Fields: fields, Reason: untrusted.New(Difference(fields, wide.Spec, now)), Want: wide}
		early = append(early, p.add(a))
		p.open(early[0], without(want.Ports, now.Ports))
	}
	if len(gcp.Differences(want, wide.Spec)) > 0 {
		p.narrow = append(p.narrow, narrowing{want: w, wide: wide, after: early})
	}
}

// open records an action that makes a firewall rule admit more, including these ports.
func (p *planner) open(action int, ports []int32) {
	p.opened = append(p.opened, action)
	for _, port := range ports {
		p.opening[port] = true
	}
}

// narrowFirewalls plans the last actions: firewall rules admit less and left-over rules
// are deleted, unless something that remains may need them.
func (p *planner) narrowFirewalls() {
	for _, n := range p.narrow {
		want, _ := n.want.Spec.(gcp.Firewall)
		wide, _ := n.wide.Spec.(gcp.Firewall)
		if p.lingers(want.Network) {
			p.waits = true
			continue
		}
		fields := gcp.Differences(want, wide)
		a := gcp.Action{Verb: gcp.Update, Fields: fields, Reason: untrusted.New(Difference(fields, want, wide)), Want: n.want}
		p.add(a, append(n.after, p.closing...)...)
	}
	for _, id := range gcp.SortedIDs(p.is.Resources) {
		o := p.is.Resources[id]
		now, ok := o.Spec.(gcp.Firewall)
		if !ok || !p.mine(o) || !p.leftOver(id) {
			continue
		}
		if p.lingers(now.Network) || p.exposed(now.Network) {
			p.waits = true
			continue
		}
		p.add(gcp.Action{Verb: gcp.Delete, Reason: untrusted.New(p.whyLeft(o)), Want: o}, append(p.closing, p.opened...)...)
	}
}

// lingers reports whether machines in the network are, or may be, in a group of ours
// that stays but is neither wanted nor held, or in a held group whose ports are unknown.
func (p *planner) lingers(network string) bool {
	if !p.usersKnown(gcp.KindFirewall) {
		return true
	}
	for id, o := range p.is.Resources {
		g, ok := machinesIn(o, network)
		if !ok || !p.mine(o) {
			continue
		}
		_, wanted := p.want.Resources[id]
		if p.held(id) && unread(g) || !wanted && !p.held(id) && !p.goes(id) {
			return true
		}
	}
	return false
}

// exposed reports whether machines in the network should serve although no firewall rule
// is wanted there: then the left-over rule admits their traffic.
func (p *planner) exposed(network string) bool {
	for _, w := range p.want.Resources {
		if spec, ok := w.Spec.(gcp.Firewall); ok && spec.Network == network && !p.unusable[w.ID] {
			return false
		}
	}
	for _, w := range p.want.Resources {
		if _, ok := machinesIn(w, network); ok {
			return true
		}
	}
	for id, o := range p.is.Resources {
		if _, ok := machinesIn(o, network); ok && p.mine(o) && !p.goes(id) {
			return true
		}
	}
	return false
}

// machinesIn returns the resource's group; false unless it is a group of machines in the
// network. Other groups need no firewall rule.
func machinesIn(r gcp.Resource, network string) (gcp.Group, bool) {
	g, ok := r.Spec.(gcp.Group)
	return g, ok && g.Type == gcp.GroupOfMachines && g.Network == network
}

// goes reports whether this plan deletes a left-over.
func (p *planner) goes(id gcp.ID) bool {
	_, deleted := p.deleted[id]
	return deleted
}

// withHeldPorts adds to a firewall rule the endpoint ports of held groups: these groups
// continue to serve.
func (p *planner) withHeldPorts(f gcp.Firewall) gcp.Firewall {
	ports := f.Ports
	for id := range p.want.Held {
		g, ok := machinesIn(p.is.Resources[id], f.Network)
		if !ok {
			continue
		}
		for _, e := range g.Endpoints {
			ports = append(slices.Clip(ports), e.Port)
		}
	}
	f.Ports = gcp.SortedSet(ports)
	return f
}
