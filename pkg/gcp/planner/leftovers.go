package planner

import (
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// leftOver reports whether an observed resource of ours should be deleted.
func (p *planner) leftOver(id gcp.ID) bool {
	_, wanted := p.want.Resources[id]
	return !wanted && !p.goes(id) && !p.held(id) && id.Kind != gcp.KindAddress
}

// removeLeftOvers plans to delete our resources that are not wanted, beginning with
// those that nothing refers to. Firewall rules come later.
func (p *planner) removeLeftOvers() {
	for _, id := range slices.Backward(gcp.SortedIDs(p.is.Resources)) {
		o := p.is.Resources[id]
		if p.mine(o) && p.leftOver(id) && id.Kind != gcp.KindFirewall {
			p.remove(o)
		}
	}
}

func (p *planner) remove(o gcp.Resource) {
	after, ok := p.released(o)
	if !ok {
		p.waits = true
		return
	}
	if o.ID.Kind == gcp.KindRule {
		if after, ok = p.succeeded(o); !ok {
			p.waits = true
			return
		}
	}
	why := p.whyLeft(o)
	if g, ok := o.Spec.(gcp.Group); ok {
		if unread(g) {
			p.waits = true
			return
		}
		after = append(after, p.detach(o, g.Endpoints, why, after...)...)
	}
	i := p.add(gcp.Action{Verb: gcp.Delete, Reason: untrusted.New(why), Want: o}, after...)
	p.deleted[o.ID] = i
	if o.ID.Kind == gcp.KindGroup || o.ID.Kind == gcp.KindService {
		p.closing = append(p.closing, i)
	}
}

// released returns the actions after which nothing refers to a resource; false if it
// remains in use.
func (p *planner) released(o gcp.Resource) ([]int, bool) {
	if p.needed[o.ID] || !p.usersKnown(o.ID.Kind) {
		return nil, false
	}
	var after []int
	free := true
	for _, by := range p.referrers[o.ID] {
		if i, ok := p.deleted[by]; ok {
			after = append(after, i)
		} else if i, ok := p.updated[by]; ok {
			after = append(after, i)
		} else {
			free = false
			if r := p.is.Resources[by]; !p.mine(r) {
				p.reportInUse(o, r)
			}
		}
	}
	return after, free
}

// succeeded returns the creations of the forwarding rules that replace one; false if
// they cannot be created now. An address is not released before the next one of the same
// Ingress answers.
func (p *planner) succeeded(o gcp.Resource) ([]int, bool) {
	var after []int
	for _, id := range gcp.SortedIDs(p.want.Resources) {
		w := p.want.Resources[id]
		if id.Kind != gcp.KindRule || w.Mark.Ingress == "" || w.Mark.Ingress != o.Mark.Ingress {
			continue
		}
		if p.unusable[id] {
			return nil, false
		}
		after = append(after, p.ready[id]...)
	}
	return after, true
}
