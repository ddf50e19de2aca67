package keeper

import (
	"reflect"
	"slices"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/traffic"
)

// State is what is known of Compute Engine, and what is being done there.
type State struct {
	// Looked is when everything was last read; zero before the first time.
	Looked time.Time
	// Revision is the one whose plan Compute Engine was compared with.
	Revision federation.Revision
	Calls    int // to Compute Engine in the last minute
	// Error is why not everything can be read now; empty if it can.
	Error     untrusted.Text
	Balancers []federation.Balancer
	Findings  []federation.Finding
	Pending   []gcp.Action // planned, and not done yet
	Done      []Deed       // the last ones, the newest first
	// Settled is set if everything was read, nothing is to be done, and no cluster is
	// being drained.
	Settled bool
}

// Known reports whether the balancers are known.
func (s State) Known() bool { return !s.Looked.IsZero() }

// publish sets the state from a decision, and rings if it has changed.
func (k *Keeper) publish(s decision) {
	next := State{
		Looked:    k.read,
		Revision:  s.in.Plan.Revision,
		Calls:     k.calls.lastMinute(k.cloud, s.in.Now),
		Error:     untrusted.New(k.seen.Unread()),
		Balancers: k.timed(traffic.Of(*s.in, s.want, s.seen, s.planned), s.in.Now),
		Findings:  slices.Concat(s.want.Findings, s.planned.Findings, k.troubles(s), k.survey.findings(s.planned)),
		Pending:   withoutKeys(s.planned.Actions),
		Done:      k.deeds.newest(),
		Settled:   s.planned.Settled && k.complete() && !s.want.Drains(),
	}
	last := k.state // only this goroutine writes it, so reading it takes no lock
	k.mu.Lock()
	k.state, k.shown = next, s
	k.mu.Unlock()
	news := last.Known() != next.Known()
	last.Looked, last.Calls = next.Looked, next.Calls // another read alone is no news
	if news || !reflect.DeepEqual(last, next) {
		ring(k.changed)
	}
}

// complete reports whether the last read was complete.
func (k *Keeper) complete() bool {
	return !slices.ContainsFunc(gcp.Kinds, func(kind gcp.Kind) bool { return !k.seen.Complete[kind] })
}

// timed sets since when each load balancer is wanted.
func (k *Keeper) timed(all []federation.Balancer, now time.Time) []federation.Balancer {
	wanted := map[federation.ObjectRef]time.Time{}
	for i := range all {
		since, known := k.since[all[i].Ingress]
		if !known {
			since = now
		}
		wanted[all[i].Ingress], all[i].Since = since, since
	}
	k.since = wanted
	return all
}

// withoutKeys returns the actions without private keys.
func withoutKeys(actions []gcp.Action) []gcp.Action {
	actions = slices.Clone(actions)
	for i := range actions {
		actions[i].Want.Spec = gcp.WithoutKey(actions[i].Want.Spec)
	}
	return actions
}
