package agenda

import (
	"slices"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// whole reports whether everything the app has is in the cluster.
func (x *computation) whole(a *state.App) bool {
	clash := slices.ContainsFunc(x.Clashes, func(e *refusal.Error) bool { return e.App == a.Name })
	return x.tally(a.Name).Unsettled == 0 && len(a.Plan.Withheld) == 0 && !clash
}

// remove finds the deletions that are due. Only apps that are whole delete, in the
// reverse order of applying, and each kind only when the objects of the kind before are
// gone. Deletions come after all applies, so that an app that takes over from another
// runs first. A Service with a port that a new one claims goes ahead of all that.
func (x *computation) remove() {
	for _, a := range x.SortedApps() {
		if !x.Prunes(a) {
			continue
		}
		var leaving []*state.Row
		for _, r := range x.tally(a.Name).Leaving {
			if x.MayLeave(a, r) {
				leaving = append(leaving, r)
			}
		}
		if len(leaving) == 0 {
			continue
		}
		last := 0
		for _, r := range leaving {
			last = max(last, r.Rank)
		}
		inOrder := x.whole(a) && !x.applying
		for _, r := range leaving {
			if inOrder && r.Rank == last || x.isClaimed(r) {
				x.removeRow(r)
			}
		}
		if slices.ContainsFunc(leaving, func(r *state.Row) bool { return r.Live.Terminating }) {
			x.final = false // it goes by itself, or its finding names who must act
		}
	}
}

func (x *computation) removeRow(r *state.Row) {
	switch {
	case r.Flight != nil || r.Live.Terminating:
	case r.Last.Err != nil:
		x.final = x.final && r.Last.Err.NeedsIntervention()
		if until := x.retryAt(r); x.now.Before(until) {
			x.wake(until)
		} else if r.Last.At.IsZero() || x.hasChanged(r) || !x.trying[r.Last.Reason] || r.Last.Reason == "" {
			x.retries = append(x.retries, x.retryOf(Item{Type: Remove, Row: r}))
		}
	default:
		x.holds, x.final = true, false
		x.tasks = append(x.tasks, Item{Type: Remove, Row: r})
	}
}

// isClaimed reports whether the row is a Service with a node port that another Service
// should get.
func (x *computation) isClaimed(r *state.Row) bool {
	if r.Ref.GroupKind() != object.ServiceKind {
		return false
	}
	return slices.ContainsFunc(r.Live.Ports, func(p object.Port) bool { return x.claimed[p] })
}

// narrow finds the inventories that list more than their apps have.
func (x *computation) narrow() {
	if x.applying || len(x.tasks) > 0 {
		return
	}
	for _, a := range x.SortedApps() {
		if !a.Named || a.Plan.Prune != federation.PruneAllowed || x.Broken() || !a.Parent.Exists() || a.Parent.Refused != nil {
			continue
		}
		if !x.whole(a) || len(x.Leaving(a, x.tally(a.Name).Leaving)) > 0 || len(x.Unlisted(a)) > 0 {
			continue
		}
		if !x.isWide(a) || x.IsNarrow(a) {
			continue
		}
		switch {
		case a.Flight != nil:
			x.underWay = true
		case a.Last.Err != nil:
			x.againAt(a.Last, Item{Type: Narrow, App: a})
		default:
			x.holds = true
			x.tasks = append(x.tasks, Item{Type: Narrow, App: a})
		}
	}
}

// records finds the inventories that do not record which Jobs ended, or record Jobs
// that left Git.
func (x *computation) records() {
	for _, a := range x.SortedApps() {
		if a.Flight != nil || !x.isWide(a) || x.IsRecorded(a) {
			continue
		}
		if a.Last.Err != nil {
			x.againAt(a.Last, Item{Type: Widen, App: a})
			continue
		}
		x.holds = true
		x.tasks = append(x.tasks, Item{Type: Widen, App: a})
	}
}
