// Package keeper maintains the wanted state on Compute Engine. The [Keeper] reads, plans
// and acts in turn; [Preview] and [Propose] only return what it would do.
package keeper

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

// How often the keeper reads Compute Engine and recomputes its plan.
const (
	// readInterval is the time between two reads when nothing happens. A change by
	// another client is undone after that time at the latest.
	readInterval = 10 * time.Second
	// workInterval replaces readInterval while a plan is being executed, since a read
	// replaces the plan.
	workInterval = time.Minute
	// readGap is the minimum time between two reads.
	readGap = time.Second
	// firstWait is how long the first read waits for clusters that are being read: they
	// determine what it has to read.
	firstWait = 2 * time.Second
	// replanGap is how soon the plan is recomputed for new facts, which calls no API.
	// Changes in the health of groups are collected for newsGap.
	replanGap = 100 * time.Millisecond
	newsGap   = time.Second
	// replanShare bounds the cost of recomputing for a large federation, whose facts
	// change all the time: to one part in replanShare of a processor.
	replanShare = 12
)

// Options are the dependencies of a Keeper.
type Options struct {
	Cloud gcp.Cloud
	// MayWrite reports whether this instance is the one that writes. It is called
	// before each change. With nil nothing is ever written.
	MayWrite func() bool
	// Keys reads certificates from the member clusters; nil if that is not possible.
	Keys KeyReader
	Log  *zap.Logger
}

// Keeper maintains on Compute Engine what the newest Input wants. It runs next to the
// sync loop and cannot delay it: Want and State return at once.
type Keeper struct {
	cloud    gcp.Cloud
	mayWrite func() bool
	keys     *keys
	log      *zap.Logger
	started  time.Time

	wanted  chan struct{} // rings when there is a newer input
	news    chan struct{} // rings when the health of a group has changed
	changed chan struct{} // rings when State may have changed

	mu    sync.Mutex // protects the next three
	input *gcp.Input // the newest; nil before the first, and if nothing is to be maintained
	state State
	shown decision // what state was made from

	// The goroutine of Run owns what follows.
	work       work
	readBegan  time.Time    // when the last read began
	again      bool         // a read is due as soon as readGap has passed
	replan     bool         // there are new facts
	acted      bool         // an action began since the last read, or was under way then
	restUntil  time.Time    // facts are collected until then, after a slow computation
	seen       gcp.Observed // by the last read; without Health
	scope      gcp.Scope    // of the last read
	health     *healthWatch
	read       time.Time // when everything was last read
	unread     string    // what the last read could not read, as logged
	calls      callRate
	survey     survey
	tries      tries
	deeds      deeds
	unreadable unreadable
	copies     []gcp.ID             // resources that bear our mark and are not ours
	left       map[string]time.Time // by cluster, when endpoints last left
	since      map[federation.ObjectRef]time.Time
}

// New returns a Keeper that works while Run runs.
func New(o Options) *Keeper {
	k := &Keeper{
		cloud: o.Cloud, mayWrite: o.MayWrite, log: o.Log, started: time.Now(),
		wanted: make(chan struct{}, 1), news: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		left: map[string]time.Time{}, since: map[federation.ObjectRef]time.Time{}, unreadable: unreadable{},
		keys: newKeys(o.Keys), tries: newTries(), work: newWork(),
	}
	if k.mayWrite == nil {
		k.mayWrite = func() bool { return false }
	}
	k.health = newHealthWatch(o.Cloud, func() { ring(k.news) })
	return k
}

// Want sets the input that the keeper maintains from now on. With a nil input it leaves
// Compute Engine unchanged.
func (k *Keeper) Want(in *gcp.Input) {
	k.mu.Lock()
	k.input = in
	k.mu.Unlock()
	ring(k.wanted)
}

// State returns the present state.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Changed returns a channel that receives when State may have changed.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// Run works until ctx ends. It then cancels the calls that are under way: the next start
// continues from what they did.
func (k *Keeper) Run(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { k.health.run(ctx) })
	defer k.work.calls.Wait()
	defer func() {
		if k.work.cut != nil {
			k.work.cut()
		}
	}()
	clock := time.NewTicker(replanGap)
	defer clock.Stop()
	var news time.Time // when the first unprocessed news came
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-k.work.outcomes:
			k.finished(ctx, o)
			continue
		case <-k.wanted:
			k.replan = true
			continue // until the clock ticks: many inputs come at a time
		case <-k.news:
			if news.IsZero() {
				news = time.Now()
			}
			continue
		case now := <-clock.C:
			if !news.IsZero() && now.Sub(news) >= newsGap {
				k.replan, news = true, time.Time{}
			}
		}
		k.step(ctx)
	}
}

// step reads Compute Engine, or only recomputes the plan, if that is due.
func (k *Keeper) step(ctx context.Context) {
	k.cancelCalls()
	since := time.Since(k.readBegan)
	interval := readInterval
	if k.work.active() {
		interval = workInterval
	}
	due := since >= interval || since >= readGap && (k.again || k.tries.retries(k.readBegan, time.Now()))
	if !due && (!k.replan || time.Now().Before(k.restUntil)) {
		return
	}
	in := k.newest()
	if in == nil {
		k.replan = false
		k.work.drop()
		return
	}
	if due {
		if k.seen.At.IsZero() && time.Since(k.started) < firstWait && arrives(in) {
			return
		}
		k.turn(ctx, in)
		return
	}
	k.replan = false
	if k.seen.At.IsZero() {
		k.again = true
		return
	}
	began := time.Now()
	defer func() { k.restUntil = restAfter(began, time.Now()) }()
	s := k.decide(in)
	asks := k.needsMore(s)
	if !asks && !k.acted && since < readGap && k.mayWrite() {
		k.take(ctx, s, nil) // another read would show nothing newer
	}
	k.again = k.again || asks || k.mayWrite() && k.work.differs(s.planned, k.tries.due(s.planned, in.Now))
	if !asks {
		k.publish(s) // otherwise a read that follows in a moment shows more
	}
}

// arrives reports whether the input may change in a moment: a cluster is being read, or
// an object of the plan waits for that.
func arrives(in *gcp.Input) bool {
	for _, c := range in.Federation.Clusters {
		if balancer.BeingRead(in.Facts.Of(c.Name)) {
			return true
		}
	}
	for _, c := range in.Plan.Clusters {
		for _, app := range c.Apps {
			if slices.ContainsFunc(app.Withheld, func(w federation.Withheld) bool { return len(w.Waits) > 0 }) {
				return true
			}
		}
	}
	return false
}

// restAfter returns when the plan may next be recomputed, after a computation.
func restAfter(began, ended time.Time) time.Time {
	return ended.Add((replanShare - 1) * ended.Sub(began))
}

// newest returns the input to work on, completed by what only this process knows; nil if
// nothing is to be maintained.
func (k *Keeper) newest() *gcp.Input {
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

// decision is what was read, and what is decided from it.
type decision struct {
	in      *gcp.Input
	want    gcp.Wanted
	planned gcp.Planned
	seen    gcp.Observed
}

// decide returns what to do, given what was last read. It calls no API.
func (k *Keeper) decide(in *gcp.Input) decision {
	seen := k.seen
	seen.Health = k.health.known()
	in.Secrets = k.keys.known()
	want := balancer.Build(*in, seen)
	return decision{in: in, want: want, planned: planner.Plan(want, seen), seen: seen}
}

// turn reads Compute Engine and begins the due actions. Actions that are under way
// continue; those that had not begun are planned again.
func (k *Keeper) turn(ctx context.Context, in *gcp.Input) {
	k.readBegan, k.again, k.replan = time.Now(), false, false
	busy := k.work.busy()
	k.acted = len(busy) > 0
	var s decision
	for range 2 { // the wanted names may follow from the machines that are read
		if !k.readCloud(ctx, in) {
			return
		}
		if s = k.decide(in); !k.needsMore(s) {
			break
		}
	}
	k.publish(s)
	k.tries.update(s.planned, s.want, s.in.Now)
	k.take(ctx, s, busy)
}

// take begins the due actions. Busy holds the calls under way when the read began.
func (k *Keeper) take(ctx context.Context, s decision, busy map[gcp.ID]call) {
	k.work.take(s.planned, k.tries.due(s.planned, s.in.Now), busy)
	k.begin(ctx)
}

// readCloud reads Compute Engine, and the certificates that are wanted. It returns false if
// ctx ended.
func (k *Keeper) readCloud(ctx context.Context, in *gcp.Input) bool {
	k.keys.read(ctx, in)
	scope := scopeOf(k.decide(in))
	scope.Earlier = k.seen
	seen := k.cloud.Observe(ctx, scope)
	if ctx.Err() != nil {
		return false // an interrupted read proves nothing
	}
	scope.Earlier = gcp.Observed{}
	k.scope = scope
	if !k.seen.At.IsZero() {
		keepUnread(&seen, k.seen)
	}
	k.copies = disown(&seen, in.Owner())
	k.seen = seen
	k.unreadable.note(k.seen.Errors, in.Now)
	if k.complete() {
		k.read = seen.At
	}
	k.logUnread()
	k.health.watch(seen, in.Owner())
	k.survey.read(ctx, k.cloud, in)
	return true
}

// logUnread logs a change in what cannot be read.
func (k *Keeper) logUnread() {
	whats := make([]string, 0, len(k.seen.Errors))
	for _, e := range k.seen.Errors {
		whats = append(whats, e.What)
	}
	unread := strings.Join(whats, ", ")
	switch unread {
	case k.unread:
		return
	case "":
		k.log.Info("Compute Engine can be read again")
	default:
		k.log.Warn("Compute Engine cannot be read", zap.String("error", k.seen.Unread()))
	}
	k.unread = unread
}

// scopeOf returns what has to be read to decide what is wanted.
func scopeOf(s decision) gcp.Scope {
	scope := gcp.Scope{
		Owner: s.in.Owner(), Network: s.in.Federation.GCP.Network,
		Names: make(map[gcp.ID]bool, len(s.want.Resources)), Nodes: providerIDs(s.in.Facts),
	}
	for id := range s.want.Resources {
		scope.Names[id] = true
	}
	return scope
}

// needsMore reports whether a machine or a name has to be read that the last read did not
// include.
func (k *Keeper) needsMore(s decision) bool {
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

// keepUnread copies earlier resources of the kinds that could not be read now: their
// absence means nothing.
func keepUnread(now *gcp.Observed, earlier gcp.Observed) {
	for id, r := range earlier.Resources {
		if _, there := now.Resources[id]; !there && !now.Complete[id.Kind] {
			now.Resources[id] = r
		}
	}
}

// disown removes our mark from resources under names that fedsync does not generate:
// they are copies of ours, with their descriptions. It returns their IDs.
func disown(seen *gcp.Observed, owner gcp.Owner) []gcp.ID {
	var copies []gcp.ID
	for id, r := range seen.Resources {
		if owner.Owns(r.Mark) && !owner.Generates(id) {
			r.Description, r.Mark = r.Mark.Text(), gcp.Mark{}
			seen.Resources[id] = r
			copies = append(copies, id)
		}
	}
	slices.SortFunc(copies, gcp.ID.Compare)
	return copies
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // it already rings
	}
}

// providerIDs returns the IDs of the machines of all nodes, sorted.
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
