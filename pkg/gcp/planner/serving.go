package planner

import (
	"slices"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// serving returns a backend service without the groups that cannot stand behind it
// yet, so that one cluster does not hold up the others. It reports false where nothing
// would serve for certain then, though the wanted service would, and what may serve
// now would be taken away or there is no service yet: it is better left as it is.
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

// wantedFilled reports whether the group is to have endpoints. One that is only
// pointed at is held, and has some.
func (p *planner) wantedFilled(id gcp.ID) bool {
	w, wanted := p.want.Resources[id]
	g, _ := w.Spec.(gcp.Group)
	return !wanted || len(g.Endpoints) > 0
}

// filled reports whether the group has endpoints for certain once this plan
// is done. A group that
// is held keeps those that it has; one that is not ours counts only where it happens
// to have one that is wanted.
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
		return false // it may have but endpoints that leave
	}
	return p.wantedFilled(id)
}

// arriving reports whether the endpoints that are to serve in the group have all yet
// to come.
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
