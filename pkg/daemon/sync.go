package daemon

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/bell"
	"github.com/fedsync/fedsync/pkg/diagnose"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/metrics"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/roll"
	"github.com/fedsync/fedsync/pkg/schedule"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/wire"
)

// loop makes the decisions that concern more than one cluster. It is level-triggered:
// whatever happened, it reads the newest revision and the newest facts and hands every
// member what its cluster should run. One goroutine runs it and owns its fields.
//
// The loop never waits: failover, the page and the metrics depend on its turns.
// Files are read and rendered outside it. Members and posters take the newest value and
// never block. Pure code is bounded by the size of the federation. Where the loop calls
// anything else, a comment says why the call returns soon.
type loop struct {
	*Daemon

	renderings *renderings
	members    *members
	cloud      *googleCloud
	scheduler  *schedule.Scheduler
	diagnoser  diagnose.Diagnoser
	readOnly   bool                 // no writes
	onReport   func(*status.Report) // called with every report; may be nil

	// A revision goes from found to newest, wanted and live. A refused revision
	// stays newest until the next one.
	found   federation.Revision    // the newest that source read
	newest  *revision              // the newest whose fedsync.yaml was read: reports describe it; nil before the first
	wanted  *revision              // the one that is being rendered; nil for none
	live    *revision              // the newest that is rendered: in force and maintained; nil before the first
	ahead   map[string]part        // by cluster: what it runs of a revision newer than live
	met     *federation.Federation // whose clusters have members
	leaving []federation.Cluster   // clusters that left the federation and are to be emptied
	roll    roll.Roll              // which clusters the names lead to, and what may be done there

	ended     syncEnd // the last one counted
	sourceErr error   // why the repository cannot be read now
}

const (
	// publishInterval is the least time between two reports for a stream of small
	// changes, such as pods becoming ready. The outcome of a push is published at once.
	publishInterval = 25 * time.Millisecond
	// turnInterval is the most time between two turns. Time alone changes a report:
	// "unreachable for 4 minutes", a deadline that has passed.
	turnInterval = 10 * time.Second
)

func newLoop(d *Daemon, readOnly bool) *loop {
	l := &loop{Daemon: d, scheduler: schedule.New(), readOnly: readOnly, ahead: map[string]part{}}
	l.renderings = newRenderings(d.render, d.before, d.cfg.StatusContexts, d.log)
	claims := d.claims
	if readOnly {
		claims, l.renderings.before = nil, nil
	}
	l.members = newMembers(claims, func(f *federation.Federation, c federation.Cluster) memberLoop {
		return d.newMember(f, c, readOnly)
	})
	l.cloud = d.newGoogleCloud(readOnly)
	return l
}

// run runs the loop until ctx ends.
func (l *loop) run(ctx context.Context) {
	var rendering sync.WaitGroup
	defer rendering.Wait()
	defer l.cloud.wait()
	rendering.Go(func() { l.renderings.run(ctx) })
	clock := time.NewTicker(l.turnEvery)
	defer clock.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	claimed := (<-chan struct{})(nil)
	if l.claims != nil {
		claimed = l.claims.Changed()
	}
	changed := bell.Bell(nil) // ignored until pace fires
	var took time.Duration
	for {
		l.pulse.beat()
		select {
		case <-ctx.Done():
			return
		case e := <-l.events.C:
			l.read(e)
		case <-l.renderings.news:
			if !l.follow(ctx) {
				continue // nothing to report yet
			}
		case <-claimed:
		case <-l.cloud.changed:
		case <-l.reload:
			l.members.reconnect()
		case <-pace.C:
			changed = l.changed
			continue
		case <-changed:
			changed = nil
			// In a large federation, half of the time remains for everything else.
			pace.Reset(max(publishInterval, took))
		case <-clock.C:
		}
		if ctx.Err() != nil {
			return // a turn that is cut short is no evidence about the revision
		}
		started := time.Now()
		l.members.read()
		l.reschedule(ctx)
		l.publish()
		took = time.Since(started)
	}
}

// read takes an event of source: a new revision, or the reason why there is none. In
// either case, the revision in force is still maintained.
func (l *loop) read(e source.Event) {
	l.sourceErr = e.Err
	if e.Err != nil {
		l.log.Warn("repository not read", zap.Error(e.Err))
	}
	if e.Snapshot == nil || e.Snapshot.Revision == l.found {
		return // nothing new
	}
	l.metrics.Stage(metrics.StageSource, e.Took)
	l.found = e.Snapshot.Revision
	l.log.Info("revision found", zap.Stringer("revision", l.found), zap.Bool("forced", e.Snapshot.Forced))
	l.renderings.read(arrival{*e.Snapshot, time.Now()})
}

// follow moves revisions on towards the clusters, and reports whether there is news
// to publish. It has every step of that way; the clusters' answers come back
// through reschedule.
func (l *loop) follow(ctx context.Context) (news bool) {
	for _, step := range l.renderings.take() {
		switch step := step.(type) {
		case loaded:
			// From now on the commit is pending, however long the rest takes. A mistake
			// in the file fails the commit and changes nothing else: a rendering under
			// way continues, and the revision in force is maintained.
			l.begin(step)
			if l.newest.refusal == nil {
				l.wanted = l.newest
				l.renderings.want(l.wanted)
				if l.live == nil {
					l.meet(ctx, l.wanted.federation) // members can connect before they have a plan
				}
			}
			news = true
		case fallback:
			// While a revision is refused, the newest readable one before it is in force,
			// whether or not this process has seen it.
			l.fallBack(ctx, step)
			news = true
		case begun:
			// Each member starts as soon as its own objects are known, with those that
			// are certain. Nothing is pruned yet.
			l.handPart(step)
		case rendered:
			// The plan as a whole needs to know every cluster. From here on it is made
			// again whenever a fact changes.
			l.enforce(ctx, step)
			news = true
		}
	}
	return news
}

// begin makes a revision the newest, which reports describe. It ends the statuses of
// the one before.
func (l *loop) begin(step loaded) {
	l.supersede(step.snapshot.Revision)
	l.newest = &revision{snapshot: step.snapshot, firstSeen: step.at, earlier: l.live.sha(), federation: step.federation, policy: step.policy}
	if step.err != nil {
		l.newest.federation, l.newest.refusal, l.newest.context = nil, preview.Refusal(step.snapshot, step.err), step.context
		l.newest.searching = step.searching
		l.log.Warn("revision refused", zap.Stringer("revision", step.snapshot.Revision), zap.Error(step.err))
	}
}

// fallBack brings the revision that replaces a refused one to the clusters.
func (l *loop) fallBack(ctx context.Context, step fallback) {
	if l.newest == nil || l.newest.refusal == nil || l.newest.snapshot.Revision != step.of {
		return // there is a newer one
	}
	l.newest.searching = false
	if step.found == nil {
		return
	}
	if on := cmp.Or(l.wanted, l.live); on.sha() == step.found.snapshot.Revision.SHA {
		return
	}
	l.log.Info("earlier revision maintained", zap.Stringer("revision", step.found.snapshot.Revision), zap.Stringer("refused", step.of))
	l.wanted = &revision{snapshot: step.found.snapshot, firstSeen: step.found.at, earlier: l.live.sha(), federation: step.found.federation, policy: step.found.policy}
	l.renderings.want(l.wanted)
	if l.live == nil {
		l.meet(ctx, l.wanted.federation)
	}
}

// supersede ends the commit statuses of earlier revisions.
func (l *loop) supersede(by federation.Revision) {
	for _, p := range l.posters() {
		if l.hasYielded() {
			p.Withdraw()
		}
		p.Begin(by)
	}
}

// meet gives each cluster of a federation a member and ends the members of all
// others. A member connects, watches and applies at its own pace and cannot hold up
// the others. meet writes a small file, and only when the list of members changes.
func (l *loop) meet(ctx context.Context, f *federation.Federation) {
	l.callRoll(f)
	source, _ := identity.Of(l.source, l.cfg.Revision, f.Name)
	l.members.meet(ctx, f, l.leaving, source)
	l.members.read()
	l.met = f
	l.judge()
}

// handPart hands a member what is certain of the revision that is being rendered. If
// the member is for another cluster of that name, it waits for the whole plan.
func (l *loop) handPart(step begun) {
	f := step.of.federation
	known := slices.ContainsFunc(l.met.Clusters, func(c federation.Cluster) bool {
		return c.Name == step.cluster.Name && c.Context == step.cluster.Context
	})
	if step.of != l.wanted || !known || f.Name != l.met.Name || f.NodePorts != l.met.NodePorts {
		return
	}
	l.ahead[step.cluster.Name] = l.certain(part{revision: step.of, cluster: step.cluster, bundles: step.bundles})
	l.handAhead(step.cluster.Name)
}

// certain returns the part with its plan.
func (l *loop) certain(p part) part {
	in := l.input(p.revision)
	in.Bundles = p.bundles
	p.plan = l.scheduler.Provisional(in, p.cluster)
	return p
}

// handAhead hands a member its part of a newer revision, combined with what is in
// force there.
func (l *loop) handAhead(cluster string) {
	p := l.ahead[cluster]
	if l.live == nil {
		l.members.hand(p.plan)
		return
	}
	if len(p.plan.Apps) == 0 {
		return // nothing is certain: the cluster stays as it is
	}
	for _, inForce := range l.live.plan.Clusters {
		if inForce.Cluster == cluster {
			l.members.hand(p.over(inForce))
		}
	}
}

// enforce puts a rendered revision in force. It is not the newest one if pushes come
// faster than they can be rendered.
func (l *loop) enforce(ctx context.Context, step rendered) {
	rev := step.of
	if l.live != rev {
		rev.earlier = l.live.sha()
	}
	rev.bundles, rev.rendering, rev.partly = step.bundles, step.findings, step.partly
	l.live = rev
	if !rev.partly {
		l.metrics.Stage(metrics.StageRender, step.took)
	}
	if l.wanted == rev && !rev.partly {
		l.wanted = nil
	}
	clear(l.ahead)
	l.meet(ctx, rev.federation)
}

// callRoll finds the clusters that left the file since the last revision and are
// to be emptied.
func (l *loop) callRoll(f *federation.Federation) {
	if l.readOnly {
		return
	}
	now, leaving := l.roster.Next(f)
	l.leaving = leaving
	l.remember(now)
}

// dismiss forgets the clusters that left and are empty now.
func (l *loop) dismiss() {
	for _, name := range l.members.emptied() {
		l.leaving = slices.DeleteFunc(l.leaving, func(c federation.Cluster) bool { return c.Name == name })
		l.remember(l.roster.Without(name))
		l.log.Info("cluster left and emptied", zap.String("cluster", name))
	}
}

func (l *loop) remember(r roll.Roster) {
	if r.Equal(l.roster) {
		return
	}
	l.roster = r
	// A small file in the cache folder, written when the members change: if that
	// folder hangs, nothing else on this machine works either.
	if err := r.Keep(l.rosterFile); err != nil {
		l.log.Warn("member clusters not remembered", zap.Error(err))
	}
}

// input returns what the schedule reads for a revision, with the current facts.
func (l *loop) input(rev *revision) schedule.Input {
	return schedule.Input{
		Federation: rev.federation,
		Revision:   rev.snapshot.Revision,
		Bundles:    rev.bundles,
		Facts:      l.members.facts,
		Policy:     wire.Policy(l.cfg),
		Leaving:    l.leaving,
		Excluded:   l.roll.Excluded(),
		Unpruned:   l.roll.Unpruned(),
	}
}

// reschedule plans from scratch and hands every member its part. A member that has it
// already does nothing. A revision that is being rendered, or refused, changes nothing:
// the one in force is maintained, and its replicas are still placed where there is
// room. The load balancers on Google Cloud follow the same plan, at their own pace.
// reschedule takes milliseconds and does no I/O.
func (l *loop) reschedule(ctx context.Context) {
	started := time.Now()
	l.readCloud()
	for name, p := range l.ahead {
		// The member drops a part that was made without its facts.
		if p.plan.Early && l.members.facts.Of(name).Synced {
			l.ahead[name] = l.certain(p)
		}
	}
	if l.live == nil {
		for name := range l.ahead {
			l.handAhead(name)
		}
		return
	}
	l.judge()
	l.dismiss()
	l.live.plan = l.scheduler.Plan(l.input(l.live))
	if l.live.partly {
		l.live.plan.Clusters = unpruned(l.live.plan.Clusters)
	}
	for _, p := range l.live.plan.Clusters {
		if ahead, ok := l.ahead[p.Cluster]; ok && len(ahead.plan.Apps) > 0 {
			p = ahead.over(p)
		}
		l.members.hand(p)
	}
	l.balance(ctx)
	l.metrics.Stage(metrics.StageSchedule, time.Since(started))
}

// readCloud puts what is known of the load balancers into the facts.
func (l *loop) readCloud() {
	state := l.cloud.state()
	l.members.facts.Balancers, l.members.facts.BalancersKnown = state.Balancers, state.Known()
}

// balance hands over which load balancers the plan in force wants.
func (l *loop) balance(ctx context.Context) {
	f := l.live.federation
	source, _ := identity.Of(l.source, l.cfg.Revision, f.Name)
	l.cloud.want(ctx, gcp.Input{Federation: f, Source: source, Plan: l.live.plan, Facts: l.members.facts})
}
