package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/health"
)

// worker keeps one cluster equal to its plan. It shares nothing with other
// workers that could block: a cluster that hangs, refuses or answers nonsense
// costs the others nothing.
//
// A worker has one session at a time, which lasts as long as the way to the
// cluster stays the same. When the kubeconfig gives another, the session ends and
// a new one begins, which asks the cluster anew; until it has, the report shows
// what the one before saw.
type worker struct {
	cluster    federation.Cluster
	federation string // its name
	nodePorts  federation.PortRange
	log        *zap.Logger
	connect    func(context string) (connection, error)
	open       func(*worker, connection) (*session, error)
	changed    bell          // rung whenever the outcome is another
	reconnect  bell          // the kubeconfig was read anew
	ordered    bell          // there is a new order
	stop       func()        // set by the workers: ends it
	ended      chan struct{} // closed when it has ended

	mu      sync.Mutex // protects what follows
	newest  order
	now     outcome
	session *session // the one that runs; nil in between
}

// order is a plan with a number, by which the outcome says what it belongs to.
type order struct {
	federation.ClusterPlan

	number int // from 1; 0 is none
}

// outcome is what a worker has to say. It is a value: its slices are not changed.
type outcome struct {
	facts   federation.ClusterFacts
	applied federation.Revision

	handed int  // the number of the newest order
	tried  int  // of the newest that was carried out as far as it went
	done   int  // of the newest that the cluster was made equal to
	final  bool // trying the newest again will not help by itself
	dirty  bool // something drifted and is not repaired yet
	blind  bool // some of what is ours may not be listed

	changes      []federation.Change  // for the revision changing, without the unchanged
	changing     federation.Revision  // the newest that was begun with
	notes        []federation.Finding // on what was done for the revision changing
	observations []federation.Observation
	findings     []federation.Finding
	faults       []federation.Finding // of what comes before an apply
	differences  []apply.Difference   // of a session that only looks
	compared     int                  // the number of the order that they belong to
}

// current says whether the cluster is known to be equal to its newest plan.
func (o outcome) current() bool {
	return o.handed > 0 && o.done == o.handed && !o.dirty && o.facts.Synced
}

// settled says whether nothing more is to come of the newest plan by itself.
func (o outcome) settled() bool {
	return o.current() || o.handed > 0 && o.tried == o.handed && o.final
}

// outcome gives what there is to say now, with what the watches brought.
func (w *worker) outcome() outcome {
	w.mu.Lock()
	o, s := w.now, w.session
	w.mu.Unlock()
	if s != nil {
		s.look(&o)
	}
	return o
}

func (w *worker) state() federation.ClusterState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.facts.State
}

// synced says whether the facts are known by which a plan is made.
func (w *worker) synced() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.facts.Synced
}

func (w *worker) newestOrder() order {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest
}

// fenced says whether another instance writes to the cluster now.
func (w *worker) fenced() bool {
	w.mu.Lock()
	s := w.session
	w.mu.Unlock()
	if s == nil {
		return false
	}
	_, fenced := s.applier.Fenced()
	return fenced
}

// update changes the outcome and tells the loop.
func (w *worker) update(change func(*outcome)) {
	w.mu.Lock()
	change(&w.now)
	w.mu.Unlock()
	w.changed.ring()
}

// take gives the worker what its cluster should run. What it was handed before is
// overtaken; the same again is no news.
func (w *worker) take(p federation.ClusterPlan) (news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.newest.number > 0 && samePlan(w.newest.ClusterPlan, p) {
		return false
	}
	w.newest = order{ClusterPlan: p, number: w.newest.number + 1}
	w.now.handed = w.newest.number
	w.ordered.ring()
	return true
}

// samePlan compares by digests: an object of equal content is the same object.
func samePlan(a, b federation.ClusterPlan) bool {
	return a.Revision == b.Revision && a.CreateNamespaces == b.CreateNamespaces && a.Early == b.Early && a.Excluded == b.Excluded &&
		slices.EqualFunc(a.Apps, b.Apps, func(a, b federation.AppPlan) bool {
			return a.App == b.App && a.Adoption == b.Adoption && a.Prune == b.Prune && a.Broken == b.Broken &&
				slices.EqualFunc(a.Withheld, b.Withheld, func(a, b federation.Withheld) bool { return a.Object == b.Object }) &&
				slices.EqualFunc(a.Objects, b.Objects, func(a, b *federation.Object) bool {
					return a == b || a.Digest == b.Digest && a.File == b.File
				})
		})
}

// run goes on until ctx ends.
func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		s, digest, err := w.begin()
		if err != nil {
			w.unreachable(err)
			select {
			case <-ctx.Done():
			case <-w.reconnect:
			}
			continue
		}
		w.runSession(ctx, s, digest)
	}
}

// begin makes a session of the way to the cluster that the kubeconfig gives now.
func (w *worker) begin() (s *session, digest string, err error) {
	conn, err := w.connect(w.cluster.Context)
	if err != nil {
		return nil, "", err
	}
	s, err = w.open(w, conn)
	return s, conn.Digest, err
}

// runSession runs a session until ctx ends or the kubeconfig gives another way.
func (w *worker) runSession(ctx context.Context, s *session, digest string) {
	ctx, cancel := context.WithCancel(ctx)
	w.enter(s)
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	defer func() {
		cancel()
		running.Wait()
		w.enter(nil)
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.replaced:
			return
		case <-w.reconnect:
			if by, fenced := s.applier.Fenced(); fenced {
				// A new session would claim what that instance writes.
				w.log.Info("connection not looked at, another instance writes", zap.String("instance", by))
				continue
			}
			if conn, err := w.connect(w.cluster.Context); err != nil || conn.Digest != digest {
				w.log.Info("connection changed")
				return
			}
		}
	}
}

// enter makes s the session that the outcome is asked of. What the one before
// had observed stays until the new one knows better.
func (w *worker) enter(s *session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session != nil {
		w.session.look(&w.now)
	}
	w.session = s
	w.now.facts.Synced, w.now.facts.UID = false, ""
	if s != nil {
		// It may be another cluster by now: nothing was brought to it yet, and what
		// it is to run was decided by the facts of the one before.
		w.now.tried, w.now.done, w.now.final = 0, 0, false
		w.newest.Early = true
		w.changed.ring()
	}
}

// unreachable says that there is no way to the cluster in the configuration. What
// it ran last, it is taken to run still.
func (w *worker) unreachable(err error) {
	reason := health.Redact(err.Error()) // a kubeconfig is quoted in errors, passwords of proxies included
	failure := federation.FailureContext
	if _, ok := errors.AsType[*credentialFileError](err); ok {
		failure = federation.FailureFiles
	}
	w.mu.Lock()
	known := w.now.facts.State == federation.ClusterUnknown && w.now.facts.Error == reason
	w.mu.Unlock()
	if !known {
		w.log.Warn("no way to the cluster", zap.String("error", reason))
	}
	w.update(func(o *outcome) {
		if o.facts.State != federation.ClusterUnknown || o.facts.Failure != failure {
			o.facts.Since = time.Now()
		}
		o.facts.State, o.facts.Failure, o.facts.Error = federation.ClusterUnknown, failure, reason
		o.findings, o.faults = nil, nil
	})
}
