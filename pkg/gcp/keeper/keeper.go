// Package keeper keeps what there is on Compute Engine equal to what there should be. The
// [Keeper] looks, plans and acts in turn; [Preview] and [Propose] only say what it would do.
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

// How often Compute Engine is asked when nothing happens. What somebody else
// changes there is put back after lookInterval at the latest.
const (
	lookInterval = 10 * time.Second
	// workInterval is how often while a plan is being executed: a look replaces it.
	workInterval = time.Minute
	// lookGap is the least time between two looks, whatever happens.
	lookGap = time.Second
	// firstWait is how long the first look waits for clusters that are being read: what
	// it has to look for follows from them.
	firstWait = 2 * time.Second
	// thinkGap is how soon new facts are thought through: it asks nobody. What the
	// health of single groups changes is gathered for newsGap.
	thinkGap = 100 * time.Millisecond
	newsGap  = time.Second
	// thinkShare bounds what thinking costs: of a large federation, whose facts change
	// all the time, one part in so many of a processor.
	thinkShare = 12
)

// Options say what a Keeper works with.
type Options struct {
	Cloud gcp.Cloud
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
	cloud    gcp.Cloud
	mayWrite func() bool
	keys     *keys
	log      *zap.Logger
	started  time.Time

	wanted  chan struct{} // rings when there is a newer input
	news    chan struct{} // rings when the health of a group is another
	changed chan struct{} // rings when State may be another

	mu    sync.Mutex
	input *gcp.Input // the newest; nil before the first, and where nothing is to be kept
	state State
	shown sight // what state was made of

	// The goroutine of Run owns what follows.
	work   work
	looked time.Time    // when the last look began
	again  bool         // a look is due as soon as lookGap has passed
	think  bool         // there are facts that were not
	acted  bool         // something was begun since the last look, or under way at that time
	rested time.Time    // until then facts gather, after a thought that took long
	seen   gcp.Observed // by the last look; without Health
	scope  gcp.Scope    // of the last look
	health *healthWatch
	read   time.Time // when a look last read everything
	unread string    // what the last look could not read, as the log was told
	calls  callRate
	survey survey
	tries  tries
	deeds  deeds
	silent silent
	copies []gcp.ID             // what bears our mark and is not ours
	left   map[string]time.Time // by cluster, when endpoints last left
	since  map[federation.ObjectRef]time.Time
}

// New makes a Keeper; Run makes it work.
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

// Want says what is to be kept from now on. A nil input ends it: what is there stays
// as it is.
func (k *Keeper) Want(in *gcp.Input) {
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
	defer k.work.calls.Wait()
	defer func() {
		if k.work.cut != nil {
			k.work.cut()
		}
	}()
	clock := time.NewTicker(thinkGap)
	defer clock.Stop()
	var news time.Time // the first that was not thought through
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-k.work.outcomes:
			k.finished(ctx, o)
			continue
		case <-k.wanted:
			k.think = true
			continue // until the clock: inputs come in numbers
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

// step looks, or thinks, where that is due.
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
		k.take(ctx, s, nil) // what was seen is as new as another look would be
	}
	k.again = k.again || asks || k.mayWrite() && k.work.differs(s.planned, k.tries.due(s.planned, in.Now))
	if !asks {
		k.keep(s) // else a look, in a moment, says more
	}
}

// arrives reports whether the input may be another in a moment: a cluster is being
// read, or an object that load balancers follow from waits for that.
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

// restAfter is until when nothing is thought again after a thought.
func restAfter(began, ended time.Time) time.Time {
	return ended.Add((thinkShare - 1) * ended.Sub(began))
}

// newest returns the input to work on, with what this process knows beside it.
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

// sight is what is decided from one look.
type sight struct {
	in      *gcp.Input
	want    gcp.Wanted
	planned gcp.Planned
	seen    gcp.Observed
}

// decide says what to do by what was seen last. It asks nobody.
func (k *Keeper) decide(in *gcp.Input) sight {
	seen := k.seen
	seen.Health = k.health.known()
	in.Secrets = k.keys.known()
	want := balancer.Build(*in, seen)
	return sight{in: in, want: want, planned: planner.Plan(want, seen), seen: seen}
}

// Round looks, and begins what is to be done. Actions that are under way go on
// beside it; those that had not begun are planned anew.
func (k *Keeper) round(ctx context.Context, in *gcp.Input) {
	k.looked, k.again, k.think = time.Now(), false, false
	busy := k.work.busy()
	k.acted = len(busy) > 0
	var s sight
	for range 2 { // which names are wanted may follow from the machines that a look reads
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

// take begins what is to be done. Busy is what was under way when the look began.
func (k *Keeper) take(ctx context.Context, s sight, busy map[gcp.ID]call) {
	k.work.take(s.planned, k.tries.due(s.planned, s.in.Now), busy)
	k.begin(ctx)
}

// Look reads Compute Engine, and the certificates that are wanted.
func (k *Keeper) look(ctx context.Context, in *gcp.Input) bool {
	k.keys.read(ctx, in)
	scope := scopeOf(k.decide(in))
	scope.Earlier = k.seen
	seen := k.cloud.Look(ctx, scope)
	if ctx.Err() != nil {
		return false // what was cut short says nothing
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

// logUnread tells the log when other things than before cannot be read.
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
		k.log.Info("Compute Engine is read again")
	default:
		k.log.Warn("Compute Engine cannot be read", zap.String("error", k.seen.Unread()))
	}
	k.unread = unread
}

// scopeOf is what has to be looked at to judge what is wanted.
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
func keepUnread(now *gcp.Observed, earlier gcp.Observed) {
	for id, r := range earlier.Resources {
		if _, there := now.Resources[id]; !there && !now.Complete[id.Kind] {
			now.Resources[id] = r
		}
	}
}

// disown takes our mark from what has a name that fedsync does not give: somebody
// copied a resource of ours with its description. It returns what that is.
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
	default: // it rings already
	}
}

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
