package planner

import (
	"fmt"
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// unread reports whether the endpoints of an observed group are not known.
func unread(g gcp.Group) bool { return g.Endpoints == nil && g.Size > 0 }

// adjustGroup plans the endpoints of an existing group. No backend service refers to
// the group before it has some.
func (p *planner) adjustGroup(w gcp.Resource, want gcp.Group, o gcp.Resource) {
	now, _ := o.Spec.(gcp.Group)
	if unread(now) {
		p.waits = true
		return
	}
	p.adjustEndpoints(w, want.Endpoints, now.Endpoints)
}

// adjustEndpoints plans, after the given actions, to attach the missing endpoints and to
// detach those that are no longer wanted. If possible, a group that has endpoints and
// should have some is never empty in between. A group holds an address only one time, so
// an endpoint that gets another port leaves before it returns.
func (p *planner) adjustEndpoints(w gcp.Resource, want, now []gcp.Endpoint, after ...int) {
	wanted, there := endpointSet(want), endpointSet(now)
	missing := endpointsWithout(want, there)
	surplus := endpointsWithout(now, wanted)
	leaving := map[string]bool{}
	for _, e := range surplus {
		leaving[e.Address] = true
	}
	returning := map[string]bool{}
	var fresh, back, gone, moving []gcp.Endpoint
	for _, e := range missing {
		if leaving[e.Address] {
			back = append(back, e)
			returning[e.Address] = true
		} else {
			fresh = append(fresh, e)
		}
	}
	for _, e := range surplus {
		if returning[e.Address] {
			moving = append(moving, e)
		} else {
			gone = append(gone, e)
		}
	}
	if slices.ContainsFunc(missing, func(e gcp.Endpoint) bool { return p.opening[e.Port] }) {
		after = append(after, p.opened...)
	}

	attached := p.attach(w, fresh, after)
	kept := len(surplus) < len(there)
	if !kept {
		// Nothing leaves until another endpoint is attached.
		after = append(after, attached...)
	}
	attached = append(attached, p.move(w, moving, back, kept || len(fresh) > 0, after)...)
	if len(gone) > 0 {
		wait := slices.Clone(after)
		if !kept {
			wait = append(wait, attached...)
		}
		p.detach(w, gone, "no longer wanted", wait...)
	}
	p.ready[w.ID] = append(p.ready[w.ID], attached...)
}

// move detaches endpoints and attaches those that take their addresses. Unless others
// serve at the same time, half of them stay until the first half is back.
func (p *planner) move(w gcp.Resource, moving, back []gcp.Endpoint, others bool, after []int) (attached []int) {
	if len(back) == 0 {
		return nil
	}
	size := gcp.MaxEndpoints
	if !others {
		size = min(size, (len(moving)+1)/2)
	}
	comes := map[string]gcp.Endpoint{}
	for _, e := range back {
		comes[e.Address] = e
	}
	for leave := range slices.Chunk(moving, size) {
		var enter []gcp.Endpoint
		for _, e := range leave {
			enter = append(enter, comes[e.Address])
		}
		after = p.detach(w, leave, "their addresses return with another port or machine", after...)
		after = p.attach(w, enter, after)
		attached = append(attached, after...)
	}
	return attached
}

func (p *planner) attach(w gcp.Resource, endpoints []gcp.Endpoint, after []int) (actions []int) {
	for batch := range slices.Chunk(endpoints, gcp.MaxEndpoints) {
		a := gcp.Action{Verb: gcp.Attach, Reason: untrusted.New("missing: " + endpointList(batch)), Want: w, Endpoints: batch}
		actions = append(actions, p.add(a, after...))
	}
	return actions
}

func (p *planner) detach(o gcp.Resource, endpoints []gcp.Endpoint, why string, after ...int) (actions []int) {
	endpoints = slices.SortedFunc(slices.Values(endpoints), gcp.Endpoint.Compare)
	for batch := range slices.Chunk(endpoints, gcp.MaxEndpoints) {
		a := gcp.Action{Verb: gcp.Detach, Reason: untrusted.New(why + ": " + endpointList(batch)), Want: o, Endpoints: batch}
		actions = append(actions, p.add(a, after...))
	}
	p.closing = append(p.closing, actions...)
	return actions
}

func endpointSet(endpoints []gcp.Endpoint) map[gcp.Endpoint]bool {
	set := make(map[gcp.Endpoint]bool, len(endpoints))
	for _, e := range endpoints {
		set[e] = true
	}
	return set
}

// endpointsWithout returns the endpoints that are not in the set, sorted and unique.
func endpointsWithout(endpoints []gcp.Endpoint, without map[gcp.Endpoint]bool) []gcp.Endpoint {
	var rest []gcp.Endpoint
	for _, e := range endpoints {
		if !without[e] {
			rest = append(rest, e)
		}
	}
	slices.SortFunc(rest, gcp.Endpoint.Compare)
	return slices.Compact(rest)
}

func endpointList(endpoints []gcp.Endpoint) string {
	var texts []string
	for _, e := range endpoints {
		texts = append(texts, fmt.Sprintf("%s:%d", e.Address, e.Port))
	}
	return untrusted.Some(texts, 3)
}
