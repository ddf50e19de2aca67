// Package planner returns the actions that lead from the observed to the wanted state of
// Compute Engine, in an order in which any of them can be the last: traffic is served
// after each one. It is pure.
package planner

import (
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// Plan returns the actions that lead from the observed to the wanted state, in an order
// in which they can be executed one by one. Actions that do not wait for one another, by
// Action.After, may run at the same time. Equal input gives equal output.
//
// Plan never touches a resource without the owner's mark, and never deletes one that
// another may still refer to. It does not assume that a resource is absent if its kind
// could not be listed. Whatever it leaves out for such a reason waits for the next read.
//
// A wanted resource without a mark belongs to the user. It must exist, and is never
// created, changed or deleted. Addresses are never deleted.
func Plan(want gcp.Wanted, is gcp.Observed) gcp.Planned {
	p := newPlanner(want, is)
	for _, id := range gcp.SortedIDs(want.Resources) {
		p.place(want.Resources[id])
	}
	p.removeLeftOvers()
	p.narrowFirewalls()
	slices.SortStableFunc(p.findings, federation.Finding.Compare)
	return gcp.Planned{Actions: p.actions, Findings: p.findings, Settled: len(p.actions) == 0 && !p.waits}
}

// planner makes one plan. Actions are only appended, and wait only for earlier ones: so
// they can be executed in their order, and there are no cycles.
type planner struct {
	want gcp.Wanted
	is   gcp.Observed
	// referrers are the observed resources, of any owner, that refer to a resource,
	// sorted.
	referrers map[gcp.ID][]gcp.ID
	needed    map[gcp.ID]bool // resources that wanted ones refer to
	clusters  map[string]bool // clusters of wanted groups

	actions  []gcp.Action
	findings []federation.Finding
	waits    bool // something is left for the next read

	// unusable are wanted resources that no further one may refer to: this plan does
	// not create them, they are not ours, or they lack their endpoints.
	unusable map[gcp.ID]bool
	ready    map[gcp.ID][]int // actions after which others may refer to a wanted resource
	updated  map[gcp.ID]int   // updates of wanted resources, which then refer only to needed ones
	deleted  map[gcp.ID]int   // deletions of left-overs
	opened   []int            // actions that make firewall rules admit more
	opening  map[int32]bool   // ports that they open
	narrow   []narrowing      // firewall rules that admit less at the end
	closing  []int            // actions that take traffic away from nodes
}

func newPlanner(want gcp.Wanted, is gcp.Observed) *planner {
	p := &planner{
		want: want, is: is,
		referrers: map[gcp.ID][]gcp.ID{}, needed: map[gcp.ID]bool{}, clusters: map[string]bool{},
		unusable: map[gcp.ID]bool{}, ready: map[gcp.ID][]int{},
		opening: map[int32]bool{}, updated: map[gcp.ID]int{}, deleted: map[gcp.ID]int{},
	}
	for _, id := range gcp.SortedIDs(is.Resources) {
		for _, ref := range is.Resources[id].References() {
			p.referrers[ref] = append(p.referrers[ref], id)
		}
	}
	for _, w := range want.Resources {
		p.clusters[w.Mark.Cluster] = true
		for _, ref := range w.References() {
			p.needed[ref] = true
		}
	}
	return p
}

// mine reports whether the resource bears the owner's mark.
func (p *planner) mine(r gcp.Resource) bool { return p.want.Owner.Owns(r.Mark) }

func (p *planner) held(id gcp.ID) bool {
	_, held := p.want.Held[id]
	return held
}

// add appends an action, and returns its index.
func (p *planner) add(a gcp.Action, after ...int) int {
	a.ID = a.Want.ID
	a.After = gcp.SortedSet(after)
	p.actions = append(p.actions, a)
	return len(p.actions) - 1
}

// block prevents any further resource from referring to a wanted one.
func (p *planner) block(id gcp.ID) {
	p.unusable[id] = true
	p.waits = true
}

// usable reports whether others may refer to a resource when the actions in ready are
// done. A resource that is not wanted must be ours; it is held.
func (p *planner) usable(id gcp.ID) bool {
	if p.unusable[id] {
		return false
	}
	if _, wanted := p.want.Resources[id]; wanted {
		return true
	}
	return p.mine(p.is.Resources[id])
}

// users returns the kinds that can refer to a kind.
func users(kind gcp.Kind) []gcp.Kind {
	switch kind {
	case gcp.KindAddress, gcp.KindHTTPProxy, gcp.KindHTTPSProxy:
		return []gcp.Kind{gcp.KindRule}
	case gcp.KindHealthCheck, gcp.KindGroup:
		return []gcp.Kind{gcp.KindService}
	case gcp.KindService:
		return []gcp.Kind{gcp.KindURLMap}
	case gcp.KindURLMap:
		return []gcp.Kind{gcp.KindHTTPProxy, gcp.KindHTTPSProxy}
	case gcp.KindCertificate:
		return []gcp.Kind{gcp.KindHTTPSProxy}
	case gcp.KindFirewall:
		// Nothing refers to it, but these take the traffic that it admits.
		return []gcp.Kind{gcp.KindGroup, gcp.KindService}
	case gcp.KindRule:
		return nil
	}
	return nil
}

// usersKnown reports whether all resources that could refer to the kind are listed.
func (p *planner) usersKnown(kind gcp.Kind) bool {
	for _, user := range users(kind) {
		if !p.is.Complete[user] {
			return false
		}
	}
	return true
}
