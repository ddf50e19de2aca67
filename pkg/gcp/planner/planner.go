// Package planner returns the calls that lead from what there is on Compute Engine to what
// there should be, in an order in which each can be the last: traffic is served after any
// of them. It is pure.
package planner

import (
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
)

// Plan returns the actions that lead from what there is to what there should be, in
// an order in which they can be executed one by one; those that do not wait for one
// another, by Action.After, may as well run together. Equal input gives equal output.
//
// It never touches what does not bear the owner's mark, deletes nothing that
// something may still refer to, and takes nothing for absent whose kind could not be
// listed: whatever is left out for such a reason waits for the next look.
//
// What is wanted without a mark is the user's own. It must exist, and is never
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

// planner makes one plan. Actions are only appended, and wait only for those before
// them: their order is one in which they can be executed, and there are no cycles.
type planner struct {
	want gcp.Wanted
	is   gcp.Observed
	// referrers are the observed resources that point at a resource, whosever they
	// are, sorted.
	referrers map[gcp.ID][]gcp.ID
	needed    map[gcp.ID]bool // what wanted resources point at
	clusters  map[string]bool // that wanted groups belong to

	actions  []gcp.Action
	findings []federation.Finding
	waits    bool // something is left for another look

	// unusable are wanted resources that nothing new may point at: they are not
	// there and not made by this plan, are not ours, or have not got their endpoints.
	unusable map[gcp.ID]bool
	ready    map[gcp.ID][]int // actions after which a wanted resource may be pointed at
	updated  map[gcp.ID]int   // of wanted resources, which then point only at what is needed
	deleted  map[gcp.ID]int   // of left-overs
	opened   []int            // actions by which firewall rules let in more
	opening  map[int32]bool   // ports that they open
	narrow   []narrowing      // firewall rules that are to let in less, at the end
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

// block keeps anything new from pointing at a wanted resource.
func (p *planner) block(id gcp.ID) {
	p.unusable[id] = true
	p.waits = true
}

// usable reports whether a resource may be pointed at once the actions in ready are
// done. One that is not wanted is held, and ours.
func (p *planner) usable(id gcp.ID) bool {
	if p.unusable[id] {
		return false
	}
	if _, wanted := p.want.Resources[id]; wanted {
		return true
	}
	return p.mine(p.is.Resources[id])
}

// Users are the kinds that can point at a kind.
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
		// Nothing points at it, but these take the traffic that it lets in.
		return []gcp.Kind{gcp.KindGroup, gcp.KindService}
	case gcp.KindRule:
		return nil
	}
	return nil
}

// usersKnown reports whether all that could point at the kind has been listed.
func (p *planner) usersKnown(kind gcp.Kind) bool {
	for _, user := range users(kind) {
		if !p.is.Complete[user] {
			return false
		}
	}
	return true
}
