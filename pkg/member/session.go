package member

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/fedsync/fedsync/internal/bell"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/standing"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/facts"
	fault "github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/probe"
	"github.com/fedsync/fedsync/pkg/watch"
)

const (
	// The pauses between two tries of the session's own requests: for the cluster's
	// identity and for its claim.
	askPauseFirst, askPauseLast = time.Second, 30 * time.Second
	// standingFresh is how long a computed standing is reused if nothing changes.
	standingFresh = time.Second
	// keptInterval is how often expired copies of adopted objects are deleted.
	keptInterval = 24 * time.Hour
)

// session is one connection to one cluster, and everything learned over it. Its loop
// never waits for an answer: requests run in other goroutines, and a bell announces
// their results.
type session struct {
	*Member
	Log *zap.Logger // removes the secrets of the connection

	client    *Client
	prober    *probe.Prober
	watcher   *watch.Watcher
	view      *facts.View
	collector *facts.Collector
	applier   *apply.Applier
	addresses *addresser
	claim     *claim.Claim // nil where nothing is written
	watches   watches

	guard     *bounds.Guard
	probation time.Time // when the probation of a cluster that misbehaved ends; zero for none

	replaced bell.Bell // another cluster answers
	ended    bell.Bell // it misbehaves
	news     bell.Bell // there may be work
	back     bell.Bell // the cluster answers again
	open     atomic.Bool
	named    atomic.Pointer[claim.Token] // the token that the applier writes with

	// Owned by loop.
	order   Order
	awaited time.Time // when the wait for the first lists ends
	missed  time.Time // since when some of what the schedule reads is out of sight; zero for not
	keptAt  time.Time // when expired copies are deleted next

	asking    asker // for the cluster's identity
	claiming  asker
	comparing asker

	mu         sync.Mutex           // protects the fields below
	uid        string               // of the cluster, if known
	uidKnown   bool                 // it was read since the cluster answers, or reading it is forbidden
	refused    string               // why the uid may not be read
	offence    string               // how the cluster misbehaves; empty if it does not
	parentsIn  bool                 // the inventories were observed, or cannot be
	kinds      map[watch.Watch]bool // every watch of our objects so far: their end must be handled
	seen       bool                 // the collector once had everything
	changes    uint64               // counts what may change the standing
	standing   standing.Standing    // as computed at standAt
	standAt    time.Time
	standOf    uint64              // changes, before it was computed
	begun      Order               // the order that the applier has
	begunAt    time.Time           // when it got it
	timed      bool                // its duration was reported
	revision   federation.Revision // the newest that was tried as a whole
	applied    federation.Revision // the newest that the cluster matched
	comparison comparison          // of a read-only session
}

// comparison is what an order would change in the cluster.
type comparison struct {
	order       int
	differences []apply.Difference
	err         error
}

// newSession returns a session for a connection. It makes no request yet.
func newSession(m *Member, conn Connection) (*session, error) {
	s := &session{
		Member:   m,
		replaced: bell.New(),
		ended:    bell.New(),
		news:     bell.New(),
		back:     bell.New(),
		kinds:    map[watch.Watch]bool{},
	}
	s.guard = bounds.New(conn.REST, s.misbehaves)
	s.Log = s.guard.Secrets().Logger(m.Log)
	client, err := NewClient(conn.REST, ClientOptions{
		Version: m.Version, Timeout: m.RequestTimeout, Log: s.Log, Guard: s.guard, Misbehaved: s.misbehaves,
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", m.Cluster.Name, err)
	}
	s.client = client
	if !m.ReadOnly {
		s.claim = m.Claim(m.Cluster.Name)
	}
	s.watches = newWatches(m.Federation, !m.ReadOnly)
	s.applier = apply.New(apply.Options{
		Cluster:        m.Cluster.Name,
		Federation:     m.Federation,
		Source:         m.Source,
		FormerSources:  m.FormerSources,
		FollowsAs:      m.FollowsAs,
		Version:        m.Version,
		Client:         client.Dynamic,
		Mapper:         client.Kinds,
		MayWrite:       s.mayWrite,
		Overwritten:    s.overwritten,
		Changed:        s.changed,
		Change:         m.Change,
		Concurrency:    m.Concurrency,
		RequestTimeout: m.RequestTimeout,
		Deadline:       m.StatusDeadline,
		NodePorts:      m.NodePorts,
		AdoptFrom:      m.AdoptFrom,
		Forms:          m.Forms,
		Log:            s.Log,
	})
	s.addresses = newAddresser(client.Dynamic, m.Cluster.Name, s.mayWrite, m.RequestTimeout, s.Log)
	s.prober = probe.NewProber(conn.REST, m.proberOptions(s.guard))
	s.watcher = watch.NewWatcher(client.Dynamic, s.observe)
	s.watcher.Secrets = client.Secrets
	s.collector = facts.NewCollector(facts.CollectorOptions{
		Label:      inventory.LabelPartOf,
		Ours:       s.ours,
		Changed:    s.noticed,
		ReplicaSet: facts.ReplicaSets(client.Dynamic),
	})
	s.view = facts.NewView(s.judge, m.Changed)
	return s, nil
}

// run runs the session until ctx ends.
func (s *session) run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { s.prober.Run(ctx, s.probe) })
	running.Go(func() { s.watcher.Run(ctx) })
	running.Go(func() { s.collector.Run(ctx) })
	running.Go(func() { s.applier.Run(ctx) })
	s.loop(ctx, &running)
	running.Wait()
	s.client.Close()
}

// loop checks for work whenever something has changed.
func (s *session) loop(ctx context.Context, running *sync.WaitGroup) {
	s.awaited = time.Now().Add(s.RequestTimeout)
	s.probation = s.probationOf(time.Now())
	claimed := (<-chan struct{})(nil)
	if s.claim != nil {
		claimed = s.claim.Changed()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ordered:
		case <-s.news:
		case <-s.back:
			s.returned()
		case <-claimed:
			s.mayWriteChanged()
		case <-timer.C:
		}
		next := s.turn(ctx, running, time.Now())
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(time.Until(next), time.Millisecond))
		}
	}
}

// turn does the work that is due now, without waiting for anything. It returns when
// time alone makes more work due; zero means never.
func (s *session) turn(ctx context.Context, running *sync.WaitGroup, now time.Time) (next time.Time) {
	wake := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	facts := s.facts()
	s.takeOrder(now)
	if s.claim != nil {
		s.name(s.claim.Verdict(now).Token)
	}
	wake(s.watch(now))
	if facts.State == federation.ClusterOffline {
		s.shut()
		return next
	}
	wake(s.identify(ctx, running, now))
	wake(s.decide(now))
	wake(s.trust(now))
	wake(s.takeClaim(ctx, running, now))
	if s.ReadOnly {
		s.compare(ctx, running)
		return next
	}
	wake(s.showAddresses(ctx, running, now))
	if s.open.Load() && !now.Before(s.keptAt) {
		s.keptAt = now.Add(keptInterval)
		running.Go(func() { s.expireKept(ctx) })
	}
	return next
}

// name makes the token the one that the applier writes with. Nothing is written with it
// before the applier knows it, so the applier is woken afterwards.
func (s *session) name(token claim.Token) {
	if before := s.named.Load(); before != nil && *before == token {
		return
	}
	s.applier.SetInstance(token.String())
	s.named.Store(&token)
	s.mayWriteChanged()
}

// mayWriteChanged is called when the result of mayWrite may have changed. There may be
// work for the applier, and the outcome may have changed if there is none.
func (s *session) mayWriteChanged() {
	s.applier.Wake()
	s.changed()
}

// takeOrder takes the newest order.
func (s *session) takeOrder(now time.Time) {
	newest := s.Newest()
	if newest.Number == s.order.Number && newest.Early == s.order.Early {
		return
	}
	if newest.Revision != s.order.Revision {
		s.addresses.retry()
		s.watcher.Poke() // the push may have removed the reason why a watch was refused
	}
	s.order = newest
	if newest.Excluded == "" {
		s.applier.Want(newest.ClusterPlan)
	}
	s.mu.Lock()
	s.begun, s.begunAt, s.timed = newest, now, false
	s.changes++
	s.mu.Unlock()
	s.Changed() // an applier without work for it announces nothing
}

// decide allows or forbids writes to the cluster. An order that was made before the
// facts of the cluster were known waits for them briefly, since an order that uses them
// is about to come.
func (s *session) decide(now time.Time) (next time.Time) {
	s.mu.Lock()
	known := s.uidKnown
	s.mu.Unlock()
	early := s.order.Early
	wait := early && (s.facts().Synced || now.Before(s.awaited))
	if early && !s.facts().Synced {
		next = s.awaited
	}
	if s.ReadOnly || s.order.Number == 0 || s.order.Excluded != "" || !known || wait {
		s.shut()
		return next
	}
	if !s.open.Swap(true) {
		s.mayWriteChanged()
	}
	return next
}

func (s *session) shut() {
	if s.open.Swap(false) {
		s.changed()
	}
}

// mayWrite is called before every write.
func (s *session) mayWrite() bool {
	if !s.open.Load() || s.claim == nil {
		return false
	}
	v, named := s.claim.Verdict(time.Now()), s.named.Load()
	return v.Action == claim.Write && named != nil && *named == v.Token
}

// overwritten is called when another instance may have changed an object. It must not
// call the applier.
func (s *session) overwritten() {
	if s.claim != nil {
		s.claim.Mistrust()
	}
}

// returned prepares for a cluster that answers again: earlier observations may be old,
// and it may be another cluster now.
func (s *session) returned() {
	s.watcher.Poke()
	s.awaited = time.Now().Add(s.RequestTimeout)
	s.unlist()
	s.mu.Lock()
	s.uidKnown = false
	s.mu.Unlock()
	s.asking.reset()
	s.claiming.reset()
	s.addresses.retry()
	s.applier.Retry()
}

// identify finds out which cluster answers.
func (s *session) identify(ctx context.Context, running *sync.WaitGroup, now time.Time) (next time.Time) {
	s.mu.Lock()
	known := s.uidKnown
	s.mu.Unlock()
	if known || s.order.Number == 0 {
		return time.Time{}
	}
	return s.asking.ask(running, now, func() error {
		timed, cancel := context.WithTimeout(ctx, s.RequestTimeout)
		defer cancel()
		uid, err := ClusterUID(bounds.Cleaned(timed), s.client.Dynamic)
		return s.learnUID(uid, err)
	}, s.news)
}

// learnUID records which cluster it is. If the uid may not be read, it is assumed to be
// the same cluster as before.
func (s *session) learnUID(uid string, err error) error {
	refused := ""
	switch {
	case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
		refused = untrusted.Line(err.Error())
	case err != nil:
		return err
	}
	s.mu.Lock()
	before := s.uid
	s.uidKnown, s.refused = true, refused
	if uid != "" {
		s.uid = uid
	}
	s.mu.Unlock()
	if before != "" && uid != "" && before != uid {
		s.Log.Warn("cluster replaced", zap.String("uid", uid), zap.String("uid before", before))
		s.replaced.Ring()
		return nil
	}
	s.update(identified{uid})
	return nil
}

// takeClaim reads or writes the claim, if the verdict asks for it.
func (s *session) takeClaim(ctx context.Context, running *sync.WaitGroup, now time.Time) (next time.Time) {
	if s.claim == nil || s.order.Number == 0 {
		return time.Time{}
	}
	do, action := s.claim.Refresh, s.claim.Verdict(now).Action
	switch action { //nolint:exhaustive // there is nothing to do for the others
	case claim.Refresh:
	case claim.Take:
		if !s.open.Load() {
			return time.Time{} // nothing may be written yet, not even the claim
		}
		do = s.claim.Take
	default:
		return time.Time{}
	}
	return s.claiming.ask(running, now, func() error {
		timed, cancel := context.WithTimeout(ctx, s.RequestTimeout)
		defer cancel()
		err := do(bounds.Cleaned(timed), s.client.Dynamic)
		s.applier.Wake()
		if err == nil && s.claim.Verdict(time.Now()).Action == action {
			err = errNotYet // not immediately again
		}
		return err
	}, s.news)
}

// errNotYet is why the claim is asked for again after an answer.
var errNotYet = errors.New("an answer may be out of date")

// compare finds out what the order would change, as soon as the lists are there.
func (s *session) compare(ctx context.Context, running *sync.WaitGroup) {
	order := s.order
	s.mu.Lock()
	done := s.comparison.order == order.Number && s.comparison.err == nil
	s.mu.Unlock()
	early := order.Early && (s.facts().Synced || time.Now().Before(s.awaited))
	if done || early || order.Number == 0 || order.Excluded != "" {
		return
	}
	s.comparing.ask(running, time.Now(), func() error {
		differences, err := s.applier.Diff(ctx, order.ClusterPlan)
		if ctx.Err() != nil {
			return ctx.Err() // the error does not concern the cluster
		}
		s.mu.Lock()
		s.comparison = comparison{order: order.Number, differences: differences, err: err}
		s.mu.Unlock()
		s.Changed()
		return err
	}, s.news)
}

// showAddresses writes the addresses of the order into the statuses of Ingresses.
func (s *session) showAddresses(ctx context.Context, running *sync.WaitGroup, now time.Time) (next time.Time) {
	addresses := s.order.Addresses
	if addresses == nil && !s.addresses.isBusy() {
		return time.Time{} // the usual case
	}
	var facts federation.ClusterFacts
	if s.collector.Facts(now, &facts); !facts.IngressesKnown {
		return time.Time{}
	}
	send, next := s.addresses.due(now, addresses, facts.Ingresses)
	if len(send) > 0 {
		running.Go(func() {
			s.addresses.send(ctx, send)
			s.noticed()
		})
	}
	return next
}

// expireKept deletes the expired copies of adopted objects.
func (s *session) expireKept(ctx context.Context) {
	err := s.applier.Backups().Expire(ctx)
	if m, ok := errors.AsType[*fault.Misbehaviour](err); ok {
		s.misbehaves(m)
		return
	}
	if err != nil && ctx.Err() == nil {
		// They only take up space until tomorrow.
		s.Log.Warn("kept objects not expired", zap.String("error", untrusted.Line(err.Error())))
	}
}

// changed is called when the applier's standing has changed. It must not call the
// applier.
func (s *session) changed() {
	s.mu.Lock()
	s.changes++
	s.mu.Unlock()
	s.noticed()
}

// noticed is called when there may be work, or the outcome may have changed.
func (s *session) noticed() {
	s.news.Ring()
	s.Changed()
}

// probe takes the result of the probes. It must not block.
func (s *session) probe(p probe.Probe) {
	p = s.held(p)
	before := s.facts().State
	if p.State != before {
		s.Log.Info("cluster state", zap.String("state", string(p.State)),
			zap.String("class", string(p.Failure)), zap.String("error", p.Error))
	}
	s.update(probed{p})
	switch {
	case p.State == federation.ClusterOffline:
		// Requests under way will not be answered.
		s.shut()
		s.applier.Abort()
		s.client.Disconnect()
	case p.State != before:
		s.back.Ring()
	}
}
