package gcp

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// hand is somebody who changes resources by hand.
type hand struct {
	m     *model
	owner Owner // whose resources
	undo  []func()
}

// edit changes something, and returns what.
func (h *hand) edit(rng *rand.Rand) string {
	ids := slices.DeleteFunc(sortedIDs(h.m.resources), func(id ID) bool {
		return !h.owner.owns(h.m.resources[id].Mark)
	})
	if len(ids) == 0 {
		return "nothing"
	}
	id := ids[rng.IntN(len(ids))]
	switch r := h.m.resources[id]; rng.IntN(6) {
	case 0, 1:
		if id.Kind == KindAddress {
			return "nothing"
		}
		h.m.remove(id)
		return "deleted by hand: " + id.String()
	case 2:
		m := r.Mark
		r.Mark, r.Description = Mark{}, "mine now"
		h.m.resources[id] = r
		h.undo = append(h.undo, func() {
			if r, ok := h.m.resources[id]; ok && r.Mark.Federation == "" {
				r.Mark, r.Description = m, ""
				h.m.resources[id] = r
			}
		})
		return "mark removed: " + id.String()
	case 3:
		return h.use(id, rng)
	default:
		r.Spec = spoiled(r.Spec, rng)
		h.m.resources[id] = h.m.stamp(r)
		return "edited by hand: " + id.String()
	}
}

// use makes a resource of somebody else's that points at ours.
func (h *hand) use(id ID, rng *rand.Rand) string {
	user := Resource{ID: ID{Name: fmt.Sprintf("foreign-%d", rng.IntN(1000))}, Description: "k8s-um-x"}
	switch id.Kind {
	case KindGroup:
		user.ID.Kind = KindService
		user.Spec = Service{Protocol: "HTTP", Backends: []Backend{{Group: id, Capacity: 1}}}
	case KindService:
		user.ID.Kind = KindURLMap
		user.Spec = URLMap{Default: Target{Service: id}}
	case KindURLMap:
		user.ID.Kind = KindHTTPProxy
		user.Spec = Proxy{URLMap: id}
	case KindAddress, KindFirewall, KindHealthCheck, KindCertificate, KindHTTPProxy, KindHTTPSProxy, KindRule:
		return "nothing"
	}
	if rng.IntN(2) == 0 {
		user.Mark = Mark{Federation: others[0].Federation, Source: others[0].Source}
	}
	h.m.resources[user.ID] = h.m.stamp(user)
	h.undo = append(h.undo, func() { h.m.remove(user.ID) })
	return user.ID.String() + " uses " + id.String()
}

// spoiled is a spec that somebody has changed in what can be changed.
func spoiled(spec Spec, rng *rand.Rand) Spec {
	switch s := spec.(type) {
	case Firewall:
		switch rng.IntN(4) {
		case 0:
			s.Tags = s.Tags[:len(s.Tags)/2]
		case 1:
			s.Ports = append(slices.Clone(s.Ports), 22)
		case 2:
			s.Disabled = true
		case 3:
			s.Ranges, s.Extra = []string{"0.0.0.0/0"}, []string{"udp:53"}
		}
		return s
	case HealthCheck:
		s.Interval++
		return s
	case Service:
		if rng.IntN(2) == 0 {
			s.Timeout++
		} else {
			s.Backends = slices.Delete(slices.Clone(s.Backends), 0, min(1, len(s.Backends)))
		}
		return s
	case URLMap:
		s.Hosts = nil
		return s
	case Group:
		s.Endpoints = slices.Delete(slices.Clone(s.Endpoints), 0, rng.IntN(len(s.Endpoints)+1))
		s.Size = int64(len(s.Endpoints))
		return s
	}
	return spec
}

// partial is a look of which a part failed.
func partial(o Observed, rng *rand.Rand) Observed {
	for _, kind := range Kinds {
		if rng.IntN(5) > 0 {
			continue
		}
		delete(o.Complete, kind)
		for _, id := range sortedIDs(o.Resources) {
			if id.Kind == kind && rng.IntN(2) == 0 {
				delete(o.Resources, id)
			}
		}
	}
	for _, id := range sortedIDs(o.Resources) {
		r := o.Resources[id]
		if g, ok := r.Spec.(Group); ok && rng.IntN(6) == 0 {
			g.Endpoints = nil
			r.Spec = g
			o.Resources[id] = r
		}
	}
	return o
}

// cloneObserved is the same look in other maps, whose order of iteration is another.
func cloneObserved(o Observed) Observed {
	resources := map[ID]Resource{}
	for _, id := range slices.Backward(sortedIDs(o.Resources)) {
		resources[id] = o.Resources[id]
	}
	o.Resources = resources
	return o
}

// others are owners besides ours.
var others = []Owner{{Federation: "fed", Source: "other"}, {Federation: "elsewhere", Source: "src"}}
