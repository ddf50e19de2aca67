package planner

import (
	"slices"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// serving returns a backend service without the groups that cannot be behind it yet, so
// that one cluster does not delay the others. It returns false if the service is better
// left unchanged: the wanted service would serve, the reduced one might not, and it
// would be new or take away a backend that may serve now.
func (p *planner) serving(s gcp.Service, observed gcp.Spec, had map[gcp.ID]bool) (gcp.Service, bool) {
	wanted := s.Backends
	s.Backends = slices.DeleteFunc(slices.Clone(wanted), func(b gcp.Backend) bool {
		return !had[b.Group] && !p.usable(b.Group)
	})
	if len(s.Backends) < len(wanted) {
		p.waits = true
	}
	if !anyServes(wanted, p.wantedFilled) || anyServes(s.Backends, p.filled) {
		return s, true
	}
	now, there := observed.(gcp.Service)
	return s, there && !p.takesAway(now.Backends, s.Backends)
}

// takesAway reports whether one of the backends that may serve now loses its capacity.
func (p *planner) takesAway(now, next []gcp.Backend) bool {
	stays := map[gcp.ID]bool{}
	for _, b := range next {
		stays[b.Group] = b.Capacity > 0
	}
	return anyServes(now, func(id gcp.ID) bool { return !stays[id] && !p.empty(id) })
}

// anyServes reports whether one of the backends has capacity and endpoints.
func anyServes(backends []gcp.Backend, filled func(gcp.ID) bool) bool {
	return slices.ContainsFunc(backends, func(b gcp.Backend) bool { return b.Capacity > 0 && filled(b.Group) })
}

// wantedFilled reports whether the group should have endpoints. A group that is not
// wanted itself is held, and has some.
func (p *planner) wantedFilled(id gcp.ID) bool {
	w, wanted := p.want.Resources[id]
	g, _ := w.Spec.(gcp.Group)
	return !wanted || len(g.Endpoints) > 0
}

// filled reports whether the group certainly has endpoints when this plan is done. A
// held group keeps its endpoints. A group of another owner counts only if it already has
// a wanted endpoint.
func (p *planner) filled(id gcp.ID) bool {
	w, wanted := p.want.Resources[id]
	o, there := p.is.Resources[id]
	now, _ := o.Spec.(gcp.Group)
	switch {
	case !wanted || p.held(id):
		return there && !isEmpty(now)
	case p.unusable[id] && there && !p.mine(o):
		g, _ := w.Spec.(gcp.Group)
		return keepsAny(now, g)
	case p.unusable[id]:
		return there && !isEmpty(now)
	case unread(now):
		return false // all its endpoints may leave
	}
	return p.wantedFilled(id)
}

// arriving reports whether none of the group's wanted endpoints is in it yet.
func (p *planner) arriving(id gcp.ID) bool {
	w, _ := p.want.Resources[id].Spec.(gcp.Group)
	now, there := p.is.Resources[id].Spec.(gcp.Group)
	return !there || !unread(now) && !keepsAny(now, w)
}

func keepsAny(now, want gcp.Group) bool {
	has := endpointSet(now.Endpoints)
	return slices.ContainsFunc(want.Endpoints, func(e gcp.Endpoint) bool { return has[e] })
}

// empty reports whether the group is known to have no endpoints now.
func (p *planner) empty(id gcp.ID) bool {
	now, ok := p.is.Resources[id].Spec.(gcp.Group)
	if !ok {
		return p.is.Complete[gcp.KindGroup]
	}
	return isEmpty(now)
}

func isEmpty(g gcp.Group) bool { return len(g.Endpoints) == 0 && !unread(g) }
