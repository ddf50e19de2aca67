package gcp

import (
	"context"
	"maps"
	"sync"
	"time"
)

// lookAtOnce is how many questions of a look are under way at once. The limiter says
// how fast they follow each other.
const lookAtOnce = 16

// listing is what there is of a kind.
type listing struct {
	kind      Kind
	resources []Resource
	err       error // some of it is missing
}

// Look lists what there is and keeps what concerns the scope: what bears the owner's
// mark, what has a name that may be wanted, what uses an address of either, and the
// forwarding rules of a federation of the same name from elsewhere. A kind
// is Complete only if every page of every zone was read.
func (c *Compute) Look(ctx context.Context, scope Scope) Observed {
	seen := Observed{
		At: time.Now(), Resources: map[ID]Resource{}, Complete: map[Kind]bool{}, Health: scope.Earlier.Health,
	}
	listers := c.listers(scope)
	listings := make([]listing, len(listers))
	var machineErrors []LookError
	var work sync.WaitGroup
	for i, list := range listers {
		work.Go(func() { listings[i] = list(ctx) })
	}
	work.Go(func() { seen.Machines, machineErrors = c.lookMachines(ctx, scope) })
	work.Wait()
	c.doubt(ctx, listings, scope.Owner)

	for _, l := range listings {
		seen.Complete[l.kind] = l.err == nil
		if l.err != nil {
			seen.Errors = append(seen.Errors, LookError{What: plural(l.kind), Err: l.err})
		}
	}
	c.keep(&seen, listings, scope)
	c.foreign(&seen, scope)
	seen.Errors = append(seen.Errors, c.lookEndpoints(ctx, &seen, scope.Earlier)...)
	seen.Errors = append(seen.Errors, machineErrors...)
	return seen
}

// plural names a kind in the plural.
func plural(k Kind) string {
	switch k {
	case KindAddress, KindHTTPProxy, KindHTTPSProxy:
		return map[Kind]string{KindAddress: "addresses", KindHTTPProxy: "HTTP proxies", KindHTTPSProxy: "HTTPS proxies"}[k]
	case KindFirewall, KindHealthCheck, KindGroup, KindService, KindURLMap, KindCertificate, KindRule:
	}
	return string(k) + "s"
}

// keep takes over from the listings what concerns the scope, and remembers what is
// ours.
func (c *Compute) keep(seen *Observed, listings []listing, scope Scope) {
	byKind := map[Kind][]Resource{}
	for _, l := range listings {
		byKind[l.kind] = l.resources
	}
	for i, r := range byKind[KindRule] {
		if rule, ok := r.Spec.(Rule); ok {
			byKind[KindRule][i].Spec = withAddress(rule, byKind[KindAddress])
		}
	}
	concerns := func(r Resource) bool { return scope.Owner.owns(r.Mark) || scope.Names[r.ID] }
	for _, resources := range byKind {
		for _, r := range resources {
			if concerns(r) {
				seen.Resources[r.ID] = r
			}
		}
	}
	for _, r := range byKind[KindRule] {
		rule, _ := r.Spec.(Rule)
		_, known := seen.Resources[rule.Address]
		if sibling := r.Mark.Federation == scope.Owner.Federation && r.Mark.Federation != ""; known || sibling {
			seen.Resources[r.ID] = r
		}
	}
	c.remember(seen, scope.Owner)
}

// remember keeps which endpoint groups are ours, and a sample of each kind.
func (c *Compute) remember(seen *Observed, owner Owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, r := range seen.Resources {
		if !owner.owns(r.Mark) {
			continue
		}
		c.samples[id.Kind] = r
		if _, known := c.groups[id]; id.Kind == KindGroup && !known {
			c.groups[id] = groupRead{}
		}
	}
	if seen.Complete[KindGroup] {
		maps.DeleteFunc(c.groups, func(id ID, _ groupRead) bool { return !owner.owns(seen.Resources[id].Mark) })
	}
}

// foreign moves the backends behind which there is no group of ours aside: fedsync
// leaves them alone.
func (c *Compute) foreign(seen *Observed, scope Scope) {
	for id, r := range seen.Resources {
		if spec, ok := r.Spec.(Service); ok {
			r.Spec = c.withoutForeign(spec, scope.Names)
			seen.Resources[id] = r
		}
	}
}

// withoutForeign moves the backends of groups that are neither ours nor wanted to
// Extra.
func (c *Compute) withoutForeign(spec Service, wanted map[ID]bool) Service {
	var ours []Backend
	for _, b := range spec.Backends {
		if c.isOurs(b.Group) || wanted[b.Group] {
			ours = append(ours, b)
		} else {
			spec.Extra = append(spec.Extra, linkOf(b.Group, c.project))
		}
	}
	spec.Backends = ours
	sortBackends(&spec)
	return spec
}
