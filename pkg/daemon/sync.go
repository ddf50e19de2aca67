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

// loop decides what is decided in one place. It is level-triggered: whatever
// happened, it looks at the newest revision and the newest facts and hands every
// cluster's worker what its cluster should run. One goroutine runs it and owns
// its fields.
//
// The loop never waits: failover, the page and the metrics depend on its turn.
// Files are read and rendered beside it, workers and the poster take what is newest
// and never block, and what is pure is bounded by the size of the federation. Where
// something else is called, a comment there says why it returns soon.
type loop struct {
	*Daemon

	renderings *renderings
	members    *members
	cloud      *googleCloud
	scheduler  *schedule.Scheduler
	diagnoser  diagnose.Diagnoser
	readOnly   bool                 // look only
	settled    func(*status.Report) // told of every report; nil for nobody

	// A revision goes from found to newest, wanted and live; one that is refused
	// stays newest until the next.
	found   federation.Revision // the newest that source read
	newest  *revision           // the newest whose fedsync.yaml was read: reports speak of it; nil before
	wanted  *revision           // the one that is being rendered; nil for none
	live    *revision           // the newest that is rendered: it is in force, and maintained; nil before
	ahead   map[string]part     // by cluster: what it runs of a revision newer than live
	met     *federation.Federation
	leaving []federation.Cluster // clusters that left the federation, to be emptied
	roll    roll.Roll            // which clusters the names lead to, and what may be done there

	ended     outcomeOf // the last that was counted
	sourceErr error     // why the repository cannot be read now
}

// The outcome of a push is told at once; a stream of small changes, as of pods
// that become ready, is added up this often. And time itself changes a report:
// "unreachable for 4 minutes", a deadline that has passed.
const (
	tellInterval = 25 * time.Millisecond
	lookInterval = 10 * time.Second
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

// run goes on until ctx ends.
func (l *loop) run(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	defer l.cloud.wait()
	beside.Go(func() { l.renderings.run(ctx) })
	clock := time.NewTicker(l.lookAgain)
	defer clock.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	claimed := (<-chan struct{})(nil)
	if l.claims != nil {
		claimed = l.claims.Changed()
	}
	changed := bell.Bell(nil) // not listened to until pace rings
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
				continue // there is nothing to tell yet
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
			// Of a large federation, half the time is left for what else there is to do.
			pace.Reset(max(tellInterval, took))
		case <-clock.C:
		}
		if ctx.Err() != nil {
			return // what was cut short says nothing of the revision
		}
		started := time.Now()
		l.members.look()
		l.reschedule(ctx)
		l.tell()
		took = time.Since(started)
	}
}

// read takes what source found: a new revision, or why there is none. Whatever it
// is, the revision in force goes on being maintained.
func (l *loop) read(e source.Event) {
	l.sourceErr = e.Err
	if e.Err != nil {
		l.log.Warn("repository not read", zap.Error(e.Err))
	}
	if e.Snapshot == nil || e.Snapshot.Revision == l.found {
		return // it holds what it held
	}
	l.metrics.Stage(metrics.StageSource, e.Took)
	l.found = e.Snapshot.Revision
	l.log.Info("revision found", zap.Stringer("revision", l.found), zap.Bool("forced", e.Snapshot.Forced))
	l.renderings.read(arrival{*e.Snapshot, time.Now()})
}

// follow brings revisions on their way to the clusters, and reports whether there is
// something new to tell. This is the whole story; what the clusters answer comes
// back through reschedule.
func (l *loop) follow(ctx context.Context) (news bool) {
	for _, step := range l.renderings.take() {
		switch step := step.(type) {
		case loaded:
			// The commit is pending from now on, however long the rest takes. A mistake
			// in the file fails it and changes nothing else: what is being rendered goes
			// on being rendered, and what is in force is maintained.
			l.begin(step)
			if l.newest.refusal == nil {
				l.wanted = l.newest
				l.renderings.want(l.wanted)
				if l.live == nil {
					l.meet(ctx, l.wanted.federation) // who has nothing to run yet can connect
				}
			}
			news = true
		case resort:
			// Behind a refused revision, the newest is in force that can be read, whether or
			// not this process has seen it.
			l.resort(ctx, step)
			news = true
		case begun:
			// A cluster's worker starts on its own as soon as its objects are known, with
			// those that are certain; nothing is pruned yet.
			l.handPart(step)
		case rendered:
			// What needs to know every cluster is the plan as a whole. From here on it is
			// made again whenever a fact changes.
			l.enforce(ctx, step)
			news = true
		}
	}
	return news
}

// begin makes a revision the newest, of which reports speak. What is told of the one
// before ends here.
func (l *loop) begin(step loaded) {
	l.supersede(step.snapshot.Revision)
	l.newest = &revision{snapshot: step.snapshot, firstSeen: step.at, earlier: l.live.sha(), federation: step.federation, policy: step.policy}
	if step.err != nil {
		l.newest.federation, l.newest.refusal, l.newest.context = nil, preview.Refusal(step.snapshot, step.err), step.context
		l.newest.searching = step.searching
		l.log.Warn("revision refused", zap.Stringer("revision", step.snapshot.Revision), zap.Error(step.err))
	}
}

// resort brings the revision that stands in for the newest one to the clusters.
func (l *loop) resort(ctx context.Context, step resort) {
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
	l.log.Info("revision before it maintained", zap.Stringer("revision", step.found.snapshot.Revision), zap.Stringer("refused", step.of))
	l.wanted = &revision{snapshot: step.found.snapshot, firstSeen: step.found.at, earlier: l.live.sha(), federation: step.found.federation, policy: step.found.policy}
	l.renderings.want(l.wanted)
	if l.live == nil {
		l.meet(ctx, l.wanted.federation)
	}
}

// supersede ends the commit statuses of the revisions before.
func (l *loop) supersede(by federation.Revision) {
	for _, p := range l.posters() {
		if l.hasYielded() {
			p.Withdraw()
		}
		p.Begin(by)
	}
}

// meet makes a federation's clusters those that there are workers for: each
// connects, watches and applies at its own pace, and nothing of it can hold up the
// others. It writes a small file, and only when the members are others.
func (l *loop) meet(ctx context.Context, f *federation.Federation) {
	l.callRoll(f)
	source, _ := identity.Of(l.source, l.cfg.Revision, f.Name)
	l.members.meet(ctx, f, l.leaving, source)
	l.members.look()
	l.met = f
	l.judge()
}

// handPart hands a cluster what is certain of the revision that is being rendered.
// One whose worker is for another cluster of that name waits for the whole.
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

// certain makes the plan of a part.
func (l *loop) certain(p part) part {
	in := l.input(p.revision)
	in.Bundles = p.bundles
	p.plan = l.scheduler.Provisional(in, p.cluster)
	return p
}

// handAhead hands a cluster the part that it has of a newer revision, over what is in
// force there.
func (l *loop) handAhead(cluster string) {
	p := l.ahead[cluster]
	if l.live == nil {
		l.members.hand(p.plan)
		return
	}
	if len(p.plan.Apps) == 0 {
		return // nothing is certain: it stays as it is
	}
	for _, inForce := range l.live.plan.Clusters {
		if inForce.Cluster == cluster {
			l.members.hand(p.over(inForce))
		}
	}
}

// enforce puts a revision in force that is rendered as a whole. It is not the newest
// where pushes come faster than they can be rendered.
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

// dismiss forgets the clusters that have left and are empty by now.
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
	// A small file in the cache folder, when the members change: where that folder
	// hangs, nothing else of this machine works either.
	if err := r.Keep(l.rosterFile); err != nil {
		l.log.Warn("member clusters not remembered", zap.Error(err))
	}
}

// input is what the schedule reads for a revision, as it is now.
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

// reschedule plans from scratch, and hands every worker its part. A worker that
// has it already does nothing. A revision that is being rendered, or refused, changes
// nothing: the one in force is maintained, and its replicas go on being placed where
// there is room. What stands before the clusters on Google Cloud follows the same plan,
// at its own pace. It takes milliseconds, and asks nobody.
func (l *loop) reschedule(ctx context.Context) {
	started := time.Now()
	l.lookAtCloud()
	for name, p := range l.ahead {
		// A part that was made without the cluster's facts is dropped by the cluster.
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

// lookAtCloud makes facts of what is known of the load balancers.
func (l *loop) lookAtCloud() {
	state := l.cloud.state()
	l.members.facts.Balancers, l.members.facts.BalancersKnown = state.Balancers, state.Known()
}

// balance says what load balancers there should be, by the plan in force.
func (l *loop) balance(ctx context.Context) {
	f := l.live.federation
	source, _ := identity.Of(l.source, l.cfg.Revision, f.Name)
	l.cloud.want(ctx, gcp.Input{Federation: f, Source: source, Plan: l.live.plan, Facts: l.members.facts})
}
