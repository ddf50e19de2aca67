package gcp

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
)

// How often Compute Engine is asked when nothing happens. What somebody else
// changes there is put back after lookInterval at the latest.
const (
	lookInterval = 10 * time.Second
	// lookGap is the least time between two looks, whatever happens.
	lookGap = time.Second
	// thinkGap is how often new facts are thought through: it costs milliseconds and
	// asks nobody.
	thinkGap = 100 * time.Millisecond
)

// KeeperOptions say what a Keeper works with.
type KeeperOptions struct {
	Cloud Cloud
	// MayWrite reports whether this instance is the one that writes; asked before
	// each change. With nil nothing is ever written.
	MayWrite func() bool
	// Keys reads certificates from the member clusters; nil where nobody can.
	Keys KeyReader
	Log  *zap.Logger
}

// Keeper keeps Compute Engine as the newest Input says. It runs beside the loop that
// gives it inputs and cannot hold that up: Want and State return at once.
type Keeper struct {
	cloud    Cloud
	mayWrite func() bool
	keys     *keys
	log      *zap.Logger
	started  time.Time

	wanted  chan struct{} // rings when there is a newer input
	changed chan struct{} // rings when State may be another

	mu    sync.Mutex
	input *Input // the newest; nil before the first, and where nothing is to be kept
	state State

	// The goroutine of Run owns what follows.
	seen   Observed // by the last look; without Health
	scope  Scope    // of the last look
	health *healthWatch
	read   time.Time // when a look last read everything
	calls  callRate
	survey survey
	tries  tries
	deeds  deeds
	left   map[string]time.Time // by cluster, when endpoints last left
	since  map[federation.ObjectRef]time.Time
}

// State is what is known of Compute Engine, and what is being done there.
type State struct {
	// Looked is when everything was last read; zero before the first time.
	Looked time.Time
	// Revision is the one whose plan it was compared with.
	Revision federation.Revision
	Calls    int // to Compute Engine in the last minute
	// Error is why it cannot be read whole now, without secrets; empty where it can.
	Error     string
	Balancers []federation.Balancer
	Findings  []federation.Finding
	Pending   []Action // planned, and not done yet
	Done      []Deed   // the last ones, the newest first
	// Settled says that there is nothing to do, as far as can be seen, and that no
	// cluster's connections are waited for.
	Settled bool
}

// Known reports whether anything may be concluded from the balancers.
func (s State) Known() bool { return !s.Looked.IsZero() }

// NewKeeper makes a Keeper; Run makes it work.
func NewKeeper(o KeeperOptions) *Keeper {
	k := &Keeper{
		cloud: o.Cloud, mayWrite: o.MayWrite, log: o.Log, started: time.Now(),
		wanted: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		left: map[string]time.Time{}, since: map[federation.ObjectRef]time.Time{},
		keys: newKeys(o.Keys), tries: newTries(),
	}
	if k.mayWrite == nil {
		k.mayWrite = func() bool { return false }
	}
	k.health = newHealthWatch(o.Cloud, func() { ring(k.wanted) })
	return k
}

// Want says what is to be kept from now on. A nil input ends it: what is there stays
// as it is.
func (k *Keeper) Want(in *Input) {
	k.mu.Lock()
	k.input = in
	k.mu.Unlock()
	ring(k.wanted)
}

// State returns what is known now.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Changed rings when State may be another.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// Run works until ctx ends. Calls that are under way then are cut: the next start
// goes on from what is there.
func (k *Keeper) Run(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { k.health.run(ctx) })
	clock := time.NewTicker(thinkGap)
	defer clock.Stop()
	var looked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wanted:
		case <-clock.C:
			if time.Since(looked) < lookInterval {
				continue
			}
		}
		in := k.newest()
		if in == nil {
			continue
		}
		due := time.Since(looked) >= lookInterval
		if !due {
			due = time.Since(looked) >= lookGap && k.hasWork(in)
		}
		if due {
			k.round(ctx, in)
			looked = time.Now()
		} else {
			k.think(in)
		}
		if sleep(ctx, thinkGap) != nil {
			return
		}
	}
}

// newest returns the input to work on, with what this process knows beside it.
func (k *Keeper) newest() *Input {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.input == nil {
		if k.state.Known() || len(k.state.Findings) > 0 {
			k.state = State{}
			ring(k.changed)
		}
		return nil
	}
	in := *k.input
	in.Now = time.Now()
	in.Left = map[string]time.Time{}
	for _, c := range in.Federation.Clusters {
		in.Left[c.Name] = k.started
	}
	maps.Copy(in.Left, k.left)
	return &in
}

// sight is what is decided from one look.
type sight struct {
	in      *Input
	want    Wanted
	planned Planned
	seen    Observed
}

// decide says what to do by what was seen last. It asks nobody.
func (k *Keeper) decide(in *Input) sight {
	seen := k.seen
	seen.Health = k.health.known()
	in.Secrets = k.keys.known()
	want := Build(*in, seen)
	return sight{in: in, want: want, planned: Plan(want, seen), seen: seen}
}

// hasWork reports whether something that has not failed just now is to be done.
func (k *Keeper) hasWork(in *Input) bool {
	if k.seen.At.IsZero() {
		return true
	}
	s := k.decide(in)
	if k.asksMore(s) {
		return true
	}
	return k.mayWrite() && len(k.tries.due(s.planned, s.in.Now)) > 0
}

// think makes the state anew from what was seen last.
func (k *Keeper) think(in *Input) {
	if k.seen.At.IsZero() {
		return
	}
	k.keep(k.decide(in))
}

// round looks, and does what is to be done, until nothing is left that can be done
// now. The newest input is taken anew each time.
func (k *Keeper) round(ctx context.Context, in *Input) {
	for {
		if !k.look(ctx, in) {
			return
		}
		s := k.decide(in)
		k.keep(s)
		k.tries.saw(s.planned, s.want, s.in.Now)
		due := k.tries.due(s.planned, s.in.Now)
		if len(due) == 0 || !k.mayWrite() {
			return
		}
		if k.act(ctx, s, due) == 0 || ctx.Err() != nil {
			return // what failed is tried again after its pause
		}
		if in = k.newest(); in == nil {
			return
		}
	}
}

// look reads Compute Engine, and the certificates that are wanted.
func (k *Keeper) look(ctx context.Context, in *Input) bool {
	k.keys.read(ctx, in)
	scope := scopeOf(k.decide(in))
	scope.Earlier = k.seen
	seen := k.cloud.Look(ctx, scope)
	if ctx.Err() != nil {
		return false // what was cut short says nothing
	}
	scope.Earlier = Observed{}
	k.scope = scope
	if !k.seen.At.IsZero() {
		keepUnread(&seen, k.seen)
	}
	k.seen = seen
	if k.complete() {
		k.read = seen.At
	}
	k.health.watch(seen, ownerOf(in))
	k.survey.look(ctx, k.cloud, in)
	return true
}

// scopeOf is what has to be looked at to judge what is wanted.
func scopeOf(s sight) Scope {
	scope := Scope{
		Owner: ownerOf(s.in), Network: s.in.Federation.GCP.Network,
		Names: make(map[ID]bool, len(s.want.Resources)), Nodes: providerIDs(s.in.Facts),
	}
	for id := range s.want.Resources {
		scope.Names[id] = true
	}
	return scope
}

// asksMore reports whether a machine is to be known, or may have a name been taken,
// that the last look did not look for.
func (k *Keeper) asksMore(s sight) bool {
	scope := scopeOf(s)
	for id := range scope.Names {
		if !k.scope.Names[id] {
			return true
		}
	}
	return slices.ContainsFunc(scope.Nodes, func(id string) bool {
		_, asked := slices.BinarySearch(k.scope.Nodes, id)
		return !asked
	})
}

// keepUnread takes over what an earlier look knew of kinds that could not be read
// now: their absence means nothing, and their presence is better known than not.
func keepUnread(now *Observed, earlier Observed) {
	for id, r := range earlier.Resources {
		if _, there := now.Resources[id]; !there && !now.Complete[id.Kind] {
			now.Resources[id] = r
		}
	}
}

func ownerOf(in *Input) Owner { return Owner{in.Federation.Name, in.Source} }

// providerIDs are the machines of all nodes, sorted.
func providerIDs(facts federation.Facts) []string {
	var all []string
	for _, c := range facts.Clusters {
		for _, n := range c.Nodes {
			if strings.HasPrefix(n.ProviderID, "gce://") {
				all = append(all, n.ProviderID)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// keep makes a sight the state, and rings if that is another.
func (k *Keeper) keep(s sight) {
	next := State{
		Looked:    k.read,
		Revision:  s.in.Plan.Revision,
		Calls:     k.calls.lastMinute(k.cloud, s.in.Now),
		Error:     lookError(k.seen),
		Balancers: k.timed(Traffic(*s.in, s.want, s.seen, s.planned), s.in.Now),
		Findings:  slices.Concat(s.want.Findings, s.planned.Findings, k.troubles(s), k.survey.findings(s.planned)),
		Pending:   s.planned.Actions,
		Done:      k.deeds.newest(),
		Settled:   s.planned.Settled && k.complete() && !s.want.drains(),
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	last := k.state
	k.state = next
	news := last.Known() != next.Known()
	last.Looked, last.Calls = next.Looked, next.Calls // that we looked again is no news
	if news || !reflect.DeepEqual(last, next) {
		ring(k.changed)
	}
}

// lookError says what could not be read, in one line.
func lookError(seen Observed) string {
	var all []string
	for _, e := range seen.Errors {
		all = append(all, e.What+": "+e.Err.Error())
	}
	return strings.Join(all, "; ")
}

// complete reports whether the last look read everything.
func (k *Keeper) complete() bool {
	return !slices.ContainsFunc(Kinds, func(kind Kind) bool { return !k.seen.Complete[kind] })
}

// timed says since when each load balancer is wanted.
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

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // it rings already
	}
}
