package member

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/bounds"
	fault "github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/probe"
)

// When a cluster misbehaves, its session ends, which releases everything that the
// session holds. After a pause, in which the cluster gets only probes, another session
// tries. The cluster stays Unknown until that session has gone well for as long as the
// pause was, so that a cluster that misbehaves repeatedly does not seem to come and go.

// The pauses after a cluster misbehaved. They double with each repetition.
const (
	misbehavedFirst = 15 * time.Second
	misbehavedLast  = 5 * time.Minute
	// probationLast bounds the probation of a cluster that misbehaved.
	probationLast = time.Minute
	// forgiven is how long a session must last to reset the pause.
	forgiven = 10 * time.Minute
)

// offence is how a cluster last misbehaved. The zero value is none.
type offence struct {
	what  string
	at    time.Time
	pause time.Duration // the last one
}

// misbehaves ends the session. It is safe for concurrent use and does not block.
func (s *session) misbehaves(m *fault.Misbehaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offence == "" { // a later one may be a consequence
		s.offence = s.client.Secrets.Clean(m.What)
		s.ended.Ring()
	}
}

func (s *session) offenceNow() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offence
}

// trust ends the probation of a cluster that misbehaved, and returns when to call it
// again.
func (s *session) trust(now time.Time) (next time.Time) {
	switch {
	case s.probation.IsZero():
		return time.Time{}
	case now.Before(s.probation):
		return s.probation
	case !s.facts().Synced:
		return time.Time{} // a change of Synced rings
	}
	s.probation = time.Time{}
	s.forgive()
	s.probe(s.prober.Last())
	return time.Time{}
}

// held returns the state of a cluster that misbehaves, whose probes may be fine: it is
// Unknown, unless the probes find that it is offline.
func (m *Member) held(p probe.Probe) probe.Probe {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.offence.what == "" || p.State == federation.ClusterOffline {
		return p
	}
	p.State, p.Failure, p.Error = federation.ClusterUnknown, federation.FailureMisbehaves, m.offence.what
	p.Since, p.Away = m.offence.at, time.Time{}
	return p
}

// forgive makes the probes decide the state of the cluster again.
func (m *Member) forgive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offence.what = ""
}

// offend records that the cluster misbehaved in a session that began at a time, and
// returns the pause.
func (m *Member) offend(what string, began time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(began) > forgiven {
		m.offence.pause = 0
	}
	if m.offence.what == "" {
		m.offence.at = now
	}
	m.offence.what = what
	m.offence.pause = min(max(2*m.offence.pause, misbehavedFirst), misbehavedLast)
	return m.offence.pause
}

// probationOf returns when the probation of a session that begins now will end.
func (m *Member) probationOf(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.offence.what == "" {
		return time.Time{}
	}
	return now.Add(min(m.offence.pause, probationLast))
}

// leaveAlone waits until the pause is over or the configured connection changes. It
// probes the cluster during that time: a cluster that goes away is Offline, whatever it
// did before.
func (m *Member) leaveAlone(ctx context.Context, what string, pause time.Duration, conn Connection) {
	m.Log.Warn("cluster misbehaves", zap.String("error", what), zap.Duration("pause", pause))
	debug.FreeOSMemory() // immediately: it may be hundreds of megabytes, and this is rare
	m.update(misbehaved{what: what, at: time.Now()})
	if !m.ReadOnly {
		if c := m.Claim(m.Cluster.Name); c != nil {
			c.Lost(&fault.Misbehaviour{What: what}) // the other clusters do not wait for it
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		guard := bounds.New(conn.REST, nil)
		probe.NewProber(conn.REST, m.proberOptions(guard)).Run(ctx, func(p probe.Probe) {
			if p = m.held(p); p.State != m.facts().State {
				m.update(probed{p})
			}
		})
	})
	defer running.Wait()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.reconnect:
			if now, err := m.Connect(m.Cluster.Context); err != nil || now.Digest != conn.Digest {
				m.reconnect.Ring() // for the next session
				m.forgive()
				return
			}
		}
	}
}

func (m *Member) proberOptions(guard *bounds.Guard) probe.Options {
	return probe.Options{
		Interval: m.ProbeInterval, Timeout: m.ProbeTimeout, Guard: guard, Log: guard.Secrets().Logger(m.Log),
	}
}
