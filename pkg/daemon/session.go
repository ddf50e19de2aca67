package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/health"
	"github.com/fedsync/fedsync/pkg/member"
	"github.com/fedsync/fedsync/pkg/web"
)

// How long a session waits between two tries of what the cluster refused or did
// not answer.
const (
	retryMin = time.Second
	retryMax = time.Minute
)

// drainTimeout is how long requests under way may go on when the daemon is told
// to stop.
const drainTimeout = 3 * time.Second

// farOff is a pause that only a person's hand in the cluster cuts short: the
// applier waits as long for a missing right, kind or namespace. Who waits for an
// outcome has it then.
const farOff = 30 * time.Second

// session is one connection to a cluster, and all that was learned over it: the
// probes, the watches, what was applied. Its worker reads it through the outcome
// alone.
type session struct {
	*worker

	readOnly  bool // look and compare, write nothing
	client    *member.Client
	prober    *health.Prober
	watcher   *health.Watcher
	view      *health.View
	collector *health.Collector
	applier   *apply.Applier
	metrics   *web.Metrics

	parents     health.Watch // of the inventory's parents
	listTimeout time.Duration

	replaced bell // another cluster answers than the one that this session began with
	drifted  bell // Observe saw something to repair
	looked   bell // a watch has listed, failed or recovered
	back     bell // the cluster answers again

	// Owned by loop.
	order    order
	pending  bool           // the order is not carried out yet
	damaged  bool           // something drifted, and was not repaired since
	prepared bool           // the inventory was read and claimed
	identity identity       // which cluster answers
	expireAt time.Time      // when kept objects are looked at again
	awaited  time.Time      // until then the lists of new watches are waited for
	needed   []health.Watch // by what is decided and applied
	missed   time.Time      // since when some of what the schedule reads is out of sight; zero for not
	retry    *time.Timer
	retryAt  time.Time // when retry rings; zero when it does not
	pause    time.Duration
	// Until then a pending order that failed is not tried again; zero for at once.
	notBefore time.Time

	mu      sync.Mutex                          // protects what follows
	absent  context.CancelFunc                  // ends the requests under way; nil when there are none
	failed  map[health.Watch]*health.WatchError // watches that do not see
	apps    map[string]string                   // by the value of the part-of label
	applied []health.Watch                      // those that the applier reads, or did: their end it must hear of
	seen    bool                                // the collector has been told all, at some time
	// unidentified is why the cluster's uid may not be read; empty where it was.
	unidentified string
}

// run goes on until ctx ends.
func (s *session) run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { s.prober.Run(ctx, s.probed) })
	running.Go(func() { s.watcher.Run(ctx) })
	running.Go(func() { s.collector.Run(ctx) })
	s.loop(ctx)
	running.Wait()
	s.client.Close()
}

// loop carries out the newest order, repairs drift, and tries again what did not
// work. While the cluster is Offline it waits for its return.
func (s *session) loop(ctx context.Context) {
	s.ordered.ring() // what was ordered before this session
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ordered:
			if newest := s.newestOrder(); newest.number != s.order.number {
				if newest.Revision != s.order.Revision {
					s.watcher.Poke() // whoever pushes may have mended what a watch was refused for
				}
				s.order, s.pending, s.pause, s.notBefore = newest, true, 0, time.Time{}
			}
		case <-s.drifted:
			s.damaged = true
		case <-s.looked:
		case <-s.back:
			// What was seen before the outage may be old: list anew first.
			s.watcher.Poke()
			s.identity.known = false // it may have come back as another
			s.awaited, s.pause, s.notBefore = time.Now().Add(s.listTimeout), 0, time.Time{}
		case <-s.retry.C:
			s.retryAt = time.Time{}
		}
		if ctx.Err() != nil {
			return // select takes any of the cases that are ready
		}
		if s.state() == federation.ClusterOffline || s.order.number == 0 {
			continue
		}
		s.step(ctx)
	}
}

// draining gives a context that outlives the end of ctx by drainTimeout, so that
// what is under way comes to its end.
func draining(ctx context.Context) (context.Context, context.CancelFunc) {
	drained, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(drainTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-drained.Done():
		}
	})
	return drained, func() { stop(); cancel() }
}

// step does what there is to do now.
func (s *session) step(ctx context.Context) {
	ctx, cancel := draining(ctx)
	defer cancel()
	s.mu.Lock()
	s.absent = cancel
	s.mu.Unlock()
	if s.state() == federation.ClusterOffline {
		return // since the loop looked; back is rung at its return
	}

	if err := s.prepare(ctx); err != nil {
		s.fault(ctx, err)
		return
	}
	if !s.watch() && s.order.Excluded == "" {
		return // looked is rung when the lists are there
	}
	if s.order.Excluded != "" {
		s.stayOut()
		return
	}
	if s.order.Early && s.synced() {
		return // the order that knows what was seen is on its way
	}
	switch {
	case s.readOnly && s.pending:
		s.compare(ctx)
	case s.readOnly:
	case s.pending && !time.Now().Before(s.notBefore):
		s.carryOut(ctx)
		s.repair(ctx)
	default:
		s.repair(ctx)
	}
	if s.prepared && !s.readOnly && time.Now().After(s.expireAt) {
		s.expireKept(ctx)
	}
}

// prepare reads the inventory and claims it, once in a session.
func (s *session) prepare(ctx context.Context) error {
	if err := s.identify(ctx); err != nil {
		return err
	}
	if s.prepared || s.order.Excluded != "" {
		return nil
	}
	if err := s.applier.Prepare(ctx); err != nil {
		return err
	}
	if !s.readOnly {
		if err := s.applier.Claim(ctx); err != nil {
			return err
		}
		s.expireKept(ctx)
	}
	s.prepared = true
	s.update(func(o *outcome) { o.faults = nil })
	return nil
}

// expireKept deletes the objects whose keeping is over, now and once a day.
func (s *session) expireKept(ctx context.Context) {
	s.expireAt = time.Now().Add(24 * time.Hour)
	if err := s.applier.ExpireKept(ctx); err != nil {
		// They only take up room until tomorrow.
		s.log.Warn("kept objects not expired", zap.String("error", health.Redact(err.Error())))
	}
}

// compare finds out what carryOut would change.
func (s *session) compare(ctx context.Context) {
	differences, err := s.applier.Diff(ctx, s.order.ClusterPlan)
	if err != nil {
		s.fault(ctx, err)
		return
	}
	s.pending = false
	s.update(func(o *outcome) {
		o.tried, o.compared, o.differences = s.order.number, s.order.number, differences
		if len(differences) == 0 {
			o.done, o.applied = s.order.number, s.order.Revision
		}
	})
}

// carryOut makes the cluster equal to the order.
func (s *session) carryOut(ctx context.Context) {
	started := time.Now()
	result := s.applier.Apply(ctx, s.order.ClusterPlan)
	s.metrics.Stage(web.StageApply, time.Since(started))
	s.metrics.Changes(result.Changes)
	s.pending = !result.Complete
	s.update(func(o *outcome) {
		if o.changing != s.order.Revision {
			o.changing, o.changes, o.notes = s.order.Revision, nil, nil
		}
		o.notes = append(slices.Clip(o.notes), result.Notes...)
		o.changes = addChanges(o.changes, result.Changes)
		if ctx.Err() == nil {
			o.tried, o.final = s.order.number, result.RetryAfter == 0 || result.RetryAfter >= farOff
		}
		if result.Complete {
			o.done, o.applied = s.order.number, s.order.Revision
		}
	})
	if result.KindsChanged {
		s.watch()
	}
	if s.pending {
		s.tryAgain(result.RetryAfter)
	} else {
		s.pause = 0
	}
}

// addChanges adds a pass to what the passes before changed for the same revision:
// its plan comes in more than one order, and what failed is tried again. What
// failed before has an answer in this pass, if it is still wanted.
func addChanges(before, pass []federation.Change) []federation.Change {
	var changes []federation.Change
	news := map[federation.ObjectRef]bool{}
	for _, c := range pass {
		if c.Action != federation.ActionUnchanged {
			changes = append(changes, c)
			news[c.Object] = true
		}
	}
	for _, c := range before {
		if c.Action != federation.ActionFailed && !news[c.Object] {
			changes = append(changes, c)
		}
	}
	return changes
}

// repair puts right what somebody else changed.
func (s *session) repair(ctx context.Context) {
	refs, next := s.applier.Due(time.Now())
	if len(refs) > 0 || s.damaged {
		result := s.applier.Repair(ctx) // the inventory too
		s.metrics.Changes(result.Changes)
		s.damaged = ctx.Err() != nil || !result.Complete
		if len(result.Notes) > 0 {
			s.update(func(o *outcome) { o.notes = append(slices.Clip(o.notes), result.Notes...) })
		}
		s.changed.ring()
		// What could not be repaired, or not even tried, is due still.
		if refs, next = s.applier.Due(time.Now()); len(refs) > 0 || s.damaged {
			s.tryAgain(result.RetryAfter)
		}
	}
	if !next.IsZero() {
		s.wakeIn(time.Until(next))
	}
}

// fault notes that the cluster did not answer, and tries again later.
func (s *session) fault(ctx context.Context, err error) {
	if ctx.Err() == nil {
		s.log.Warn("cluster not prepared", zap.String("error", health.Redact(err.Error())))
		finding := federation.Finding{
			ID: "D10", Severity: federation.SeverityError, Cluster: s.cluster.Name,
			Message: health.Redact(err.Error()),
		}
		// That it is away, or does not know us, the probes judge.
		switch answer := apierrors.APIStatus(nil); {
		case apierrors.IsUnauthorized(err):
			finding.ID, finding.Severity = "D02", federation.SeverityWarning
		case !errors.As(err, &answer):
			finding.ID, finding.Severity = "D03", federation.SeverityWarning
		}
		s.update(func(o *outcome) {
			o.tried, o.final = s.order.number, false
			o.faults = []federation.Finding{finding}
		})
	}
	s.tryAgain(0)
}

// tryAgain rings the retry after a pause that grows, or after the time that the
// cluster asked for.
func (s *session) tryAgain(after time.Duration) {
	s.pause = min(max(2*s.pause, retryMin), retryMax)
	after = max(after, s.pause)
	s.notBefore = time.Now().Add(after)
	s.wakeIn(after)
}

// wakeIn lets the loop look again after a time, or earlier if it was to anyway.
func (s *session) wakeIn(d time.Duration) {
	at := time.Now().Add(d)
	if s.retryAt.IsZero() || at.Before(s.retryAt) {
		s.retryAt = at
		s.retry.Reset(d)
	}
}
