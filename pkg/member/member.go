package member

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/internal/bell"
	"github.com/fedsync/fedsync/internal/sleep"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/claim"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Connection is how to reach one cluster. Equal digests mean equal connections.
type Connection struct {
	REST   *rest.Config
	Digest string
}

// FileError means that a file named in a connection's configuration cannot be used. It
// may appear later.
type FileError struct{ Err error }

// Error implements error.
func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns why the file cannot be used.
func (e *FileError) Unwrap() error { return e.Err }

// Options configure a Member: its cluster, its federation and how it writes.
type Options struct {
	Cluster    federation.Cluster
	Federation string
	NodePorts  federation.PortRange
	ReadOnly   bool // compare, and write nothing
	// Source is a digest of the followed source, and FormerSources are the digests that
	// earlier versions used for it; see apply.Options.
	Source        string
	FormerSources []string
	FollowsAs     func(federation, source string) bool
	Version       string // of fedsync

	// Connect returns the connection to the cluster in the current configuration.
	Connect func(context string) (Connection, error)
	// Claim returns the claim of the cluster. A read-only Member does not call it.
	Claim func(cluster string) *claim.Claim
	// Changed is called when Outcome may have changed. It must not block.
	Changed func()
	// Applied is called with the duration of a plan, and Change for each change. Nil
	// means never.
	Applied func(time.Duration)
	Change  func(federation.Change)

	AdoptFrom      []string // see apply.Options
	Forms          *object.Forms
	Concurrency    int
	RequestTimeout time.Duration
	StatusDeadline time.Duration
	ProbeInterval  time.Duration
	ProbeTimeout   time.Duration
	Log            *zap.Logger
}

// Member keeps one cluster equal to its plan. It shares nothing with other members that
// could block: a cluster that hangs, refuses or sends invalid answers costs the others
// nothing.
//
// A Member has one session at a time, which lasts as long as the connection stays the
// same and the same cluster answers. Then the session ends and a new one begins, which
// knows nothing. Until the new session has observed the cluster, the outcome shows what
// the previous one observed.
type Member struct {
	Options

	reconnect bell.Bell // the configuration was read again
	ordered   bell.Bell // there is a new order

	mu      sync.Mutex // protects the fields below
	newest  Order
	now     Outcome
	session *session // the one that runs; nil in between
	offence offence
}

// New returns a Member. It makes no request until it runs.
func New(o Options) *Member {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Member{
		Options:   o,
		reconnect: bell.New(),
		ordered:   bell.New(),
		now:       Outcome{Facts: federation.ClusterFacts{State: federation.ClusterPending, Since: time.Now()}},
	}
}

// Want sets what the member's cluster should run, and reports whether that is new. It
// replaces any earlier plan.
func (m *Member) Want(p federation.ClusterPlan) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.newest.Number > 0 && samePlan(m.newest.ClusterPlan, p) {
		return false
	}
	m.newest = Order{ClusterPlan: p, Number: m.newest.Number + 1}
	m.now.Handed = m.newest.Number
	m.ordered.Ring()
	return true
}

// Newest returns the newest order.
func (m *Member) Newest() Order {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newest
}

// Reconnect makes the member check whether its connection is still the configured one.
func (m *Member) Reconnect() { m.reconnect.Ring() }

// Outcome returns what there is to report now.
func (m *Member) Outcome() Outcome {
	m.mu.Lock()
	o, s := m.now, m.session
	m.mu.Unlock()
	if s != nil {
		s.report(&o)
	}
	return o
}

func (m *Member) facts() federation.ClusterFacts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now.Facts
}

// update applies an event to the facts, and announces that the outcome has changed.
func (m *Member) update(e event) {
	m.mu.Lock()
	m.now.Facts = next(m.now.Facts, e)
	m.mu.Unlock()
	m.Changed()
}

// The pauses before the next session, after sessions that ended soon after they began.
const (
	sessionPauseFirst = time.Second
	sessionPauseLast  = 30 * time.Second
	sessionSettled    = time.Minute
)

// Run runs sessions until ctx ends.
func (m *Member) Run(ctx context.Context) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		s, conn, err := m.begin()
		if err != nil {
			// The error quotes the configuration, including passwords of proxies.
			reason := untrusted.Excerpt(err.Error())
			class := federation.FailureContext
			if _, ok := errors.AsType[*FileError](err); ok {
				class = federation.FailureFiles
			}
			if before := m.facts(); before.State != federation.ClusterUnknown || before.Failure != class || before.Error != reason {
				m.Log.Warn("no way to the cluster", zap.Stringer("error", reason))
			}
			m.update(disconnected{class: class, reason: reason, at: time.Now()})
			if !m.ReadOnly {
				if c := m.Claim(m.Cluster.Name); c != nil {
					c.Lost(err) // the other clusters do not wait for it
				}
			}
			select {
			case <-ctx.Done():
			case <-m.reconnect:
			}
			continue
		}
		began := time.Now()
		reason := m.runSession(ctx, s, conn.Digest)
		if ctx.Err() != nil {
			return
		}
		if what := s.offenceNow(); what != "" {
			m.leaveAlone(ctx, what, m.offend(what, began), conn)
			continue
		}
		m.Log.Info("session ended", zap.String("reason", reason))
		if time.Since(began) > sessionSettled || reason == connectionChanged {
			pause = 0
			continue
		}
		pause = min(max(2*pause, sessionPauseFirst), sessionPauseLast)
		_ = sleep.For(ctx, pause)
	}
}

// begin returns a session for the currently configured connection.
func (m *Member) begin() (s *session, conn Connection, err error) {
	conn, err = m.Connect(m.Cluster.Context)
	if err != nil {
		return nil, conn, err
	}
	s, err = newSession(m, conn)
	return s, conn, err
}

// connectionChanged is why a session ends if the configured connection changes.
const connectionChanged = "connection changed"

// runSession runs a session until ctx ends, the configured connection changes, another
// cluster answers, or the cluster misbehaves. It returns which of these happened.
func (m *Member) runSession(ctx context.Context, s *session, digest string) (reason string) {
	ctx, cancel := context.WithCancel(ctx)
	m.enter(s)
	var running sync.WaitGroup
	running.Go(func() { s.run(ctx) })
	defer func() {
		cancel()
		running.Wait()
		m.enter(nil)
	}()
	for {
		select {
		case <-ctx.Done():
			return ""
		case <-s.ended:
			return "the cluster misbehaves"
		case <-s.replaced:
			return "another cluster answers, or the same one in an earlier state"
		case <-m.reconnect:
			if conn, err := m.Connect(m.Cluster.Context); err != nil || conn.Digest != digest {
				return connectionChanged
			}
		}
	}
}

// enter makes s the session that determines the outcome. Observations of the previous
// session stay until the new one has its own.
func (m *Member) enter(s *session) {
	if before := m.sessionNow(); before != nil {
		o := m.Outcome()
		m.mu.Lock()
		o.Facts, o.Handed = mergeFacts(m.now.Facts, o.Facts), m.newest.Number
		m.now = o
		m.mu.Unlock()
	}
	m.mu.Lock()
	m.session = s
	// It may be another cluster now: nothing has been applied to it yet, and its plan
	// was made from the previous cluster's facts.
	m.now.Begun, m.now.Tried, m.now.Done, m.now.Final, m.now.Compared = 0, false, false, false, false
	m.now.Findings, m.now.Own = nil, nil
	if s != nil {
		m.newest.Early = true
	}
	m.mu.Unlock()
	m.update(connected{})
}

func (m *Member) sessionNow() *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.session
}

// mergeFacts returns the facts from the watches, with the current state of the cluster.
func mergeFacts(standing, brought federation.ClusterFacts) federation.ClusterFacts {
	brought.State, brought.Failure, brought.Error, brought.Since = standing.State, standing.Failure, standing.Error, standing.Since
	brought.Outage, brought.AwaySince = standing.Outage, standing.AwaySince
	brought.Synced, brought.Seen, brought.UID = standing.Synced, standing.Seen, standing.UID
	return brought
}
