package gce

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
)

// readsAtOnce is how many reads run at the same time. The limiter bounds their rate.
const readsAtOnce = 16

// listing is the list of one kind.
type listing struct {
	kind      gcp.Kind
	resources []gcp.Resource
	err       error // some of it is missing
}

// Observe lists all resources and returns those in the scope: with the owner's mark or with
// a name that may be wanted, and the forwarding rules that use their addresses or belong
// to a federation of the same name from another source. A kind is Complete only if every
// page of every zone was read.
func (c *Client) Observe(ctx context.Context, scope gcp.Scope) gcp.Observed {
	seen := gcp.Observed{
		At: time.Now(), Resources: map[gcp.ID]gcp.Resource{}, Complete: map[gcp.Kind]bool{}, Health: scope.Earlier.Health,
	}
	listers := c.listers(scope)
	listings := make([]listing, len(listers))
	var machineErrors []gcp.ReadError
	var work sync.WaitGroup
	for i, list := range listers {
		work.Go(func() { listings[i] = list(ctx) })
	}
	work.Go(func() { seen.Machines, machineErrors = c.observeMachines(ctx, scope) })
	work.Wait()
	c.doubt(ctx, listings, scope.Owner)

	for _, l := range listings {
		seen.Complete[l.kind] = l.err == nil
		if l.err != nil {
			seen.Errors = append(seen.Errors, gcp.ReadError{What: plural(l.kind), Err: l.err})
		}
	}
	c.keep(&seen, listings, scope)
	c.foreign(&seen, scope)
	seen.Errors = append(seen.Errors, c.observeEndpoints(ctx, &seen, scope.Earlier)...)
	seen.Errors = append(seen.Errors, machineErrors...)
	return seen
}

// plural returns the plural of a kind.
func plural(k gcp.Kind) string {
	switch k {
	case gcp.KindAddress, gcp.KindHTTPProxy, gcp.KindHTTPSProxy:
		return map[gcp.Kind]string{gcp.KindAddress: "addresses", gcp.KindHTTPProxy: "HTTP proxies", gcp.KindHTTPSProxy: "HTTPS proxies"}[k]
	case gcp.KindFirewall, gcp.KindHealthCheck, gcp.KindGroup, gcp.KindService, gcp.KindURLMap, gcp.KindCertificate, gcp.KindRule:
	}
	return string(k) + "s"
}

// keep copies from the listings the resources in the scope, and remembers which are ours.
func (c *Client) keep(seen *gcp.Observed, listings []listing, scope gcp.Scope) {
	byKind := map[gcp.Kind][]gcp.Resource{}
	for _, l := range listings {
		byKind[l.kind] = l.resources
	}
	for i, r := range byKind[gcp.KindRule] {
		if rule, ok := r.Spec.(gcp.Rule); ok {
			byKind[gcp.KindRule][i].Spec = convert.WithAddress(rule, byKind[gcp.KindAddress])
		}
	}
	concerns := func(r gcp.Resource) bool { return scope.Owner.Owns(r.Mark) || scope.Names[r.ID] }
	for _, resources := range byKind {
		for _, r := range resources {
			if concerns(r) {
				seen.Resources[r.ID] = r
			}
		}
	}
	for _, r := range byKind[gcp.KindRule] {
		rule, _ := r.Spec.(gcp.Rule)
		_, known := seen.Resources[rule.Address]
		if sibling := r.Mark.Federation == scope.Owner.Federation && r.Mark.Federation != ""; known || sibling {
			seen.Resources[r.ID] = r
		}
	}
	c.remember(seen, scope.Owner)
}

// remember records which endpoint groups are ours, and a sample of each kind.
func (c *Client) remember(seen *gcp.Observed, owner gcp.Owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, r := range seen.Resources {
		if !owner.Owns(r.Mark) {
			continue
		}
		c.samples[id.Kind] = r
		if _, known := c.groups[id]; id.Kind == gcp.KindGroup && !known {
			c.groups[id] = groupRead{}
		}
	}
	if seen.Complete[gcp.KindGroup] {
		maps.DeleteFunc(c.groups, func(id gcp.ID, _ groupRead) bool { return !owner.Owns(seen.Resources[id].Mark) })
	}
}

// foreign moves the backends whose groups are not ours to Extra: fedsync leaves them
// unchanged.
func (c *Client) foreign(seen *gcp.Observed, scope gcp.Scope) {
	for id, r := range seen.Resources {
		if spec, ok := r.Spec.(gcp.Service); ok {
			r.Spec = c.withoutForeign(spec, scope.Names)
			seen.Resources[id] = r
		}
	}
}

// withoutForeign moves the backends whose groups are neither ours nor wanted to Extra.
func (c *Client) withoutForeign(spec gcp.Service, wanted map[gcp.ID]bool) gcp.Service {
	var ours []gcp.Backend
	for _, b := range spec.Backends {
		if c.isOurs(b.Group) || wanted[b.Group] {
			ours = append(ours, b)
		} else {
			spec.Extra = append(spec.Extra, convert.LinkOf(b.Group, c.project))
		}
	}
	spec.Backends = ours
	convert.SortBackends(&spec)
	return spec
}
