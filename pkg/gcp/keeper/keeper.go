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
	// lookInterval is the time between two reads when nothing happens. A change by
	// another client is undone after that time at the latest.
	lookInterval = 10 * time.Second
	// workInterval replaces lookInterval while a plan is being executed, since a read
	// replaces the plan.
	workInterval = time.Minute
	// lookGap is the minimum time between two reads.
	lookGap = time.Second
	// firstWait is how long the first read waits for clusters that are being read: they
	// determine what it has to read.
	firstWait = 2 * time.Second
	// thinkGap is how soon the plan is recomputed for new facts, which calls no API.
	// Changes in the health of groups are collected for newsGap.
	thinkGap = 100 * time.Millisecond
	newsGap  = time.Second
	// thinkShare bounds the cost of recomputing for a large federation, whose facts
	// change all the time: to one part in thinkShare of a processor.
	thinkShare = 12
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
	shown sight // what state was made from

	// The goroutine of Run owns what follows.
	work   work
	looked time.Time    // when the last read began
	again  bool         // a read is due as soon as lookGap has passed
	think  bool         // there are new facts
	acted  bool         // an action began since the last read, or was under way then
	rested time.Time    // facts are collected until then, after a slow computation
	seen   gcp.Observed // by the last read; without Health
	scope  gcp.Scope    // of the last read
	health *healthWatch
	read   time.Time // when everything was last read
	unread string    // what the last read could not read, as logged
	calls  callRate
	survey survey
	tries  tries
	deeds  deeds
	silent silent
	copies []gcp.ID             // resources that bear our mark and are not ours
	left   map[string]time.Time // by cluster, when endpoints last left
	since  map[federation.ObjectRef]time.Time
}

// New returns a Keeper that works while Run runs.
func New(o Options) *Keeper {
	k := &Keeper{
		cloud: o.Cloud, mayWrite: o.MayWrite, log: o.Log, started: time.Now(),
		wanted: make(chan struct{}, 1), news: make(chan struct{}, 1), changed: make(chan struct{}, 1),
		left: map[string]time.Time{}, since: map[federation.ObjectRef]time.Time{}, silent: silent{},
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
	clock := time.NewTicker(thinkGap)
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
			k.think = true
			continue // until the clock ticks: many inputs come at a time
		case <-k.news:
			if news.IsZero() {
				news = time.Now()
			}
			continue
		case now := <-clock.C:
			if !news.IsZero() && now.Sub(news) >= newsGap {
				k.think, news = true, time.Time{}
			}
		}
		k.step(ctx)
	}
}

// step reads Compute Engine, or only recomputes the plan, if that is due.
func (k *Keeper) step(ctx context.Context) {
	k.yield()
	since := time.Since(k.looked)
	interval := lookInterval
	if k.work.active() {
		interval = workInterval
	}
	due := since >= interval || since >= lookGap && (k.again || k.tries.retries(k.looked, time.Now()))
	if !due && (!k.think || time.Now().Before(k.rested)) {
		return
	}
	in := k.newest()
	if in == nil {
		k.think = false
		k.work.drop()
		return
	}
	if due {
		if k.seen.At.IsZero() && time.Since(k.started) < firstWait && arrives(in) {
			return
		}
		k.round(ctx, in)
		return
	}
	k.think = false
	if k.seen.At.IsZero() {
		k.again = true
		return
	}
	began := time.Now()
	defer func() { k.rested = restAfter(began, time.Now()) }()
	s := k.decide(in)
	asks := k.asksMore(s)
	if !asks && !k.acted && since < lookGap && k.mayWrite() {
		k.take(ctx, s, nil) // another read would show nothing newer
	}
	k.again = k.again || asks || k.mayWrite() && k.work.differs(s.planned, k.tries.due(s.planned, in.Now))
	if !asks {
		k.keep(s) // otherwise a read that follows in a moment shows more
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
	return ended.Add((thinkShare - 1) * ended.Sub(began))
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

// sight is what was read, and what is decided from it.
type sight struct {
	in      *gcp.Input
	want    gcp.Wanted
	planned gcp.Planned
	seen    gcp.Observed
}

// decide returns what to do, given what was last read. It calls no API.
func (k *Keeper) decide(in *gcp.Input) sight {
	seen := k.seen
	seen.Health = k.health.known()
	in.Secrets = k.keys.known()
	want := balancer.Build(*in, seen)
	return sight{in: in, want: want, planned: planner.Plan(want, seen), seen: seen}
}

// round reads Compute Engine and begins the due actions. Actions that are under way
// continue; those that had not begun are planned again.
func (k *Keeper) round(ctx context.Context, in *gcp.Input) {
	k.looked, k.again, k.think = time.Now(), false, false
	busy := k.work.busy()
	k.acted = len(busy) > 0
	var s sight
	for range 2 { // the wanted names may follow from the machines that are read
		if !k.look(ctx, in) {
			return
		}
		if s = k.decide(in); !k.asksMore(s) {
			break
		}
	}
	k.keep(s)
	k.tries.saw(s.planned, s.want, s.in.Now)
	k.take(ctx, s, busy)
}

// take begins the due actions. Busy holds the calls under way when the read began.
func (k *Keeper) take(ctx context.Context, s sight, busy map[gcp.ID]call) {
	k.work.take(s.planned, k.tries.due(s.planned, s.in.Now), busy)
	k.begin(ctx)
}

// look reads Compute Engine, and the certificates that are wanted. It returns false if
// ctx ended.
func (k *Keeper) look(ctx context.Context, in *gcp.Input) bool {
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
	k.silent.note(k.seen.Errors, in.Now)
	if k.complete() {
		k.read = seen.At
	}
	k.logUnread()
	k.health.watch(seen, in.Owner())
	k.survey.look(ctx, k.cloud, in)
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
func scopeOf(s sight) gcp.Scope {
	scope := gcp.Scope{
		Owner: s.in.Owner(), Network: s.in.Federation.GCP.Network,
		Names: make(map[gcp.ID]bool, len(s.want.Resources)), Nodes: providerIDs(s.in.Facts),
	}
	for id := range s.want.Resources {
		scope.Names[id] = true
	}
	return scope
}

// asksMore reports whether a machine or a name has to be read that the last read did not
// include.
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
		if owner.Owns(r.Mark) && !owner.Gives(id) {
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
