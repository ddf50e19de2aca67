package planner

import (
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// place plans the actions for a wanted resource. The resources that it refers to have
// been placed before.
func (p *planner) place(w gcp.Resource) {
	o, there := p.is.Resources[w.ID]
	w = p.completed(w)
	switch {
	case there && w.Mark.Federation == "":
		// It belongs to the user.
	case there && !p.mine(o):
		p.reportConflict(w, o)
		p.block(w.ID)
	case p.held(w.ID):
		// A group that should have endpoints, and has none, is not a backend yet.
		if g, ok := w.Spec.(gcp.Group); !there || ok && len(g.Endpoints) > 0 && !p.filled(w.ID) {
			p.block(w.ID)
		}
	case untagged(w):
		p.reportUntagged(w)
		p.block(w.ID)
	case there:
		p.adjust(w, o)
	case !p.is.Complete[w.ID.Kind]:
		p.block(w.ID)
	case w.Mark.Federation == "":
		p.reportMissing(w)
		p.block(w.ID)
	default:
		p.create(w)
	}
}

// completed adds observed values to a wanted resource: to a forwarding rule its IP, if
// its address has one, and to a firewall rule the ports of held groups.
func (p *planner) completed(w gcp.Resource) gcp.Resource {
	switch spec := w.Spec.(type) {
	case gcp.Rule:
		if address, ok := p.is.Resources[spec.Address].Spec.(gcp.Address); ok && spec.IP == "" {
			spec.IP = address.IP
		}
		w.Spec = spec
	case gcp.Firewall:
		w.Spec = p.withHeldPorts(spec)
	}
	return w
}

// untagged reports whether the resource is a firewall rule that would admit traffic to
// every machine of the network.
func untagged(w gcp.Resource) bool {
	f, ok := w.Spec.(gcp.Firewall)
	return ok && len(f.Tags) == 0
}

func (p *planner) create(w gcp.Resource, after ...int) {
	w, ok := p.reachable(w, gcp.Resource{})
	if !ok {
		p.block(w.ID)
		return
	}
	for _, ref := range w.References() {
		after = append(after, p.ready[ref]...)
	}
	switch spec := w.Spec.(type) {
	case gcp.Service:
		if len(spec.Backends) > 0 {
			after = append(after, p.opened...)
		}
	case gcp.Rule:
		vacated, ok := p.vacate(w, spec, after)
		if !ok {
			p.block(w.ID)
			return
		}
		after = append(after, vacated...)
	}
	i := p.add(gcp.Action{Verb: gcp.Create, Reason: untrusted.Const("missing"), Want: w}, after...)
	p.ready[w.ID] = append(p.ready[w.ID], i)
	switch spec := w.Spec.(type) {
	case gcp.Firewall:
		p.open(i, spec.Ports)
	case gcp.Group:
		p.adjustEndpoints(w, spec.Endpoints, nil, i)
	}
}

// adjust plans the changes of an existing resource of ours.
func (p *planner) adjust(w, o gcp.Resource) {
	w.Fingerprint = o.Fingerprint
	fields := gcp.Changed(w, o)
	if fixed := gcp.FixedFields(w, o, fields); len(fixed) > 0 {
		p.replace(w, o, fixed)
		return
	}
	switch spec := w.Spec.(type) {
	case gcp.Firewall:
		p.adjustFirewall(w, o)
		return
	case gcp.Group:
		p.adjustGroup(w, spec, o)
		return
	}
	w, ok := p.reachable(w, o)
	if !ok {
		p.waits = true // it stays unchanged, and others may refer to it
		return
	}
	if fields = gcp.Changed(w, o); len(fields) == 0 {
		return
	}
	p.update(w, o, fields)
}

// update plans the change of fields, after the resources that it newly refers to exist.
func (p *planner) update(w, o gcp.Resource, fields []string) {
	var after []int
	had := idSet(o.References())
	for _, ref := range w.References() {
		if !had[ref] || ref.Kind == gcp.KindGroup && p.arriving(ref) {
			after = append(after, p.ready[ref]...)
		}
		if !had[ref] && ref.Kind == gcp.KindGroup {
			after = append(after, p.opened...)
		}
	}
	i := p.add(gcp.Action{Verb: gcp.Update, Fields: fields, Reason: untrusted.New(Difference(fields, w.Spec, o.Spec)), Want: w}, after...)
	p.updated[w.ID] = i
	p.ready[w.ID] = append(p.ready[w.ID], i)
	if w.ID.Kind == gcp.KindService {
		p.closing = append(p.closing, i)
	}
}

// reachable returns the part of the wanted resource that is possible now; false if that
// part is of no use. Every resource that it refers to must be usable, or already be
// referred to by the observed resource.
func (p *planner) reachable(w, o gcp.Resource) (gcp.Resource, bool) {
	had := idSet(o.References())
	if s, ok := w.Spec.(gcp.Service); ok {
		if w.Spec, ok = p.serving(s, o.Spec, had); !ok {
			return w, false
		}
	}
	for _, ref := range w.References() {
		if !had[ref] && !p.usable(ref) {
			p.reportUnusable(w, ref)
			return w, false
		}
	}
	return w, true
}

// replace deletes and creates a resource that cannot be changed in place, unless another
// resource refers to it. A forwarding rule is never replaced, because it may carry
// traffic.
func (p *planner) replace(w, o gcp.Resource, fields []string) {
	group, isGroup := o.Spec.(gcp.Group)
	switch {
	case w.ID.Kind == gcp.KindRule, len(p.referrers[w.ID]) > 0:
		p.reportFixed(w, o, fields)
		p.block(w.ID)
		return
	case !p.usersKnown(w.ID.Kind), !p.is.Complete[w.ID.Kind], isGroup && unread(group):
		p.block(w.ID)
		return
	}
	var after []int
	if isGroup {
		after = p.detach(o, group.Endpoints, "the group is replaced")
	}
	reason := "differs in " + strings.Join(fields, ", ") + ", which cannot be changed in place"
	i := p.add(gcp.Action{Verb: gcp.Delete, Reason: untrusted.New(reason), Want: o}, after...)
	w.Fingerprint = ""
	p.create(w, i)
}

// vacate plans and returns the deletions that free a forwarding rule's port of the
// address; false if it cannot be freed. The deletions of left-overs wait until the
// resources that the new rule needs exist.
func (p *planner) vacate(w gcp.Resource, rule gcp.Rule, after []int) ([]int, bool) {
	var leave []gcp.Resource
	for _, id := range gcp.SortedIDs(p.is.Resources) {
		o := p.is.Resources[id]
		other, ok := o.Spec.(gcp.Rule)
		if !ok || rule.IP == "" || other.IP != rule.IP {
			continue
		}
		mine := p.mine(o)
		if other.Port != rule.Port && (mine || other.Scheme == gcp.Scheme) {
			continue
		}
		if !mine || !p.leftOver(id) {
			p.reportTaken(w, o)
			return nil, false
		}
		leave = append(leave, o)
	}
	var vacated []int
	for _, o := range leave {
		i := p.add(gcp.Action{Verb: gcp.Delete, Reason: untrusted.New("releases its port of " + rule.IP + " to " + w.ID.Name), Want: o}, after...)
		p.deleted[o.ID] = i
		vacated = append(vacated, i)
	}
	return vacated, true
}

func idSet(ids []gcp.ID) map[gcp.ID]bool {
	set := make(map[gcp.ID]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}
