package gcptest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/fedsync/fedsync/pkg/gcp"
)

// Hand is a user who changes resources by hand.
type Hand struct {
	M     *Model
	Owner gcp.Owner // of the resources that it changes
	Undo  []func()
}

// Edit changes a random resource, and describes the change.
func (h *Hand) Edit(rng *rand.Rand) string {
	ids := slices.DeleteFunc(gcp.SortedIDs(h.M.Resources), func(id gcp.ID) bool {
		return !h.Owner.Owns(h.M.Resources[id].Mark)
	})
	if len(ids) == 0 {
		return "nothing"
	}
	id := ids[rng.IntN(len(ids))]
	switch r := h.M.Resources[id]; rng.IntN(6) {
	case 0, 1:
		if id.Kind == gcp.KindAddress {
			return "nothing"
		}
		h.M.Remove(id)
		return "deleted by hand: " + id.String()
	case 2:
		m := r.Mark
		r.Mark, r.Description = gcp.Mark{}, "mine now"
		h.M.Resources[id] = r
		h.Undo = append(h.Undo, func() {
			if r, ok := h.M.Resources[id]; ok && r.Mark.Federation == "" {
				r.Mark, r.Description = m, ""
				h.M.Resources[id] = r
			}
		})
		return "mark removed: " + id.String()
	case 3:
		return h.use(id, rng)
	default:
		r.Spec = spoiled(r.Spec, rng)
		h.M.Resources[id] = h.M.Stamp(r)
		return "edited by hand: " + id.String()
	}
}

// use creates a resource of another owner that refers to ours.
func (h *Hand) use(id gcp.ID, rng *rand.Rand) string {
	user := gcp.Resource{ID: gcp.ID{Name: fmt.Sprintf("foreign-%d", rng.IntN(1000))}, Description: "k8s-um-x"}
	switch id.Kind {
	case gcp.KindGroup:
		user.ID.Kind = gcp.KindService
		user.Spec = gcp.Service{Protocol: "HTTP", Backends: []gcp.Backend{{Group: id, Capacity: 1}}}
	case gcp.KindService:
		user.ID.Kind = gcp.KindURLMap
		user.Spec = gcp.URLMap{Default: gcp.Target{Service: id}}
	case gcp.KindURLMap:
		user.ID.Kind = gcp.KindHTTPProxy
		user.Spec = gcp.Proxy{URLMap: id}
	case gcp.KindAddress, gcp.KindFirewall, gcp.KindHealthCheck, gcp.KindCertificate, gcp.KindHTTPProxy, gcp.KindHTTPSProxy, gcp.KindRule:
		return "nothing"
	}
	if rng.IntN(2) == 0 {
		user.Mark = gcp.Mark{Federation: Others[0].Federation, Source: Others[0].Source}
	}
	h.M.Resources[user.ID] = h.M.Stamp(user)
	h.Undo = append(h.Undo, func() { h.M.Remove(user.ID) })
	return user.ID.String() + " uses " + id.String()
}

// spoiled returns a spec that a user has changed in fields that can be changed.
func spoiled(spec gcp.Spec, rng *rand.Rand) gcp.Spec {
	switch s := spec.(type) {
	case gcp.Firewall:
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
	case gcp.HealthCheck:
		s.Interval++
		return s
	case gcp.Service:
		if rng.IntN(2) == 0 {
			s.Timeout++
		} else {
			s.Backends = slices.Delete(slices.Clone(s.Backends), 0, min(1, len(s.Backends)))
		}
		return s
	case gcp.URLMap:
		s.Hosts = nil
		return s
	case gcp.Group:
		s.Endpoints = slices.Delete(slices.Clone(s.Endpoints), 0, rng.IntN(len(s.Endpoints)+1))
		s.Size = int64(len(s.Endpoints))
		return s
	}
	return spec
}

// Partial returns an observed state of which a part could not be read.
func Partial(o gcp.Observed, rng *rand.Rand) gcp.Observed {
	for _, kind := range gcp.Kinds {
		if rng.IntN(5) > 0 {
			continue
		}
		delete(o.Complete, kind)
		for _, id := range gcp.SortedIDs(o.Resources) {
			if id.Kind == kind && rng.IntN(2) == 0 {
				delete(o.Resources, id)
			}
		}
	}
	for _, id := range gcp.SortedIDs(o.Resources) {
		r := o.Resources[id]
		if g, ok := r.Spec.(gcp.Group); ok && rng.IntN(6) == 0 {
			g.Endpoints = nil
			r.Spec = g
			o.Resources[id] = r
		}
	}
	return o
}

// CloneObserved copies an observed state into maps of another iteration order.
func CloneObserved(o gcp.Observed) gcp.Observed {
	resources := map[gcp.ID]gcp.Resource{}
	for _, id := range slices.Backward(gcp.SortedIDs(o.Resources)) {
		resources[id] = o.Resources[id]
	}
	o.Resources = resources
	return o
}

// Others are owners other than ours.
var Others = []gcp.Owner{{Federation: "fed", Source: "other"}, {Federation: "elsewhere", Source: "src"}}
