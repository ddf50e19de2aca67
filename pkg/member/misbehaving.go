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

// What a member does about a cluster that misbehaves: the session ends, and with it
// goes everything that it holds. After a pause, in which the cluster is asked for
// nothing but its probes, another session tries. The cluster stays Unknown until that
// has gone well for as long as the pause was, so that one which misbehaves again and
// again does not seem to come and go.

// The pauses after a cluster misbehaved. They double while it goes on so.
const (
	misbehavedFirst = 15 * time.Second
	misbehavedLast  = 5 * time.Minute
	// probationLast bounds how long a cluster is watched that has misbehaved.
	probationLast = time.Minute
	// forgiven is how long a session must last for the next pause to be a short one.
	forgiven = 10 * time.Minute
)

// offence is how a cluster misbehaved last. The zero value is none.
type offence struct {
	what  string
	at    time.Time
	pause time.Duration // the last one
}

// misbehaves ends the session. It may be called by many, and does not block.
func (s *session) misbehaves(m *fault.Misbehaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offence == "" { // what follows may follow from it
		s.offence = s.client.Secrets.Clean(m.What)
		s.ended.Ring()
	}
}

func (s *session) offenceNow() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offence
}

// trust ends the probation of a cluster that misbehaved, and returns when to look
// again.
func (s *session) trust(now time.Time) (next time.Time) {
	switch {
	case s.probation.IsZero():
		return time.Time{}
	case now.Before(s.probation):
		return s.probation
	case !s.facts().Synced:
		return time.Time{} // a change of that is told
	}
	s.probation = time.Time{}
	s.forgive()
	s.probe(s.prober.Last())
	return time.Time{}
}

// held returns what the probes add up to of a cluster that misbehaves: they are as
// good as ever. That it went away they tell all the same.
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

// forgive lets the cluster be what its probes say.
func (m *Member) forgive() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offence.what = ""
}

// offend notes that the cluster misbehaved in a session that had begun at a time, and
// returns for how long it is left alone.
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

// probationOf is until when a session that begins now is on probation.
func (m *Member) probationOf(now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.offence.what == "" {
		return time.Time{}
	}
	return now.Add(min(m.offence.pause, probationLast))
}

// leaveAlone waits until the pause is over or the configuration gives another way,
// and probes the cluster meanwhile: one that goes away is Offline, whatever it did
// before.
func (m *Member) leaveAlone(ctx context.Context, what string, pause time.Duration, conn Connection) {
	m.Log.Warn("cluster misbehaves", zap.String("error", what), zap.Duration("pause", pause))
	debug.FreeOSMemory() // at once: it may be hundreds of megabytes, and this is rare
	m.stand(misbehaved{what: what, at: time.Now()})
	if !m.ReadOnly {
		if c := m.Claim(m.Cluster.Name); c != nil {
			c.Lost(&fault.Misbehaviour{What: what}) // the others do not wait for it
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		guard := bounds.New(conn.REST, nil)
		probe.NewProber(conn.REST, m.proberOptions(guard)).Run(ctx, func(p probe.Probe) {
			if p = m.held(p); p.State != m.facts().State {
				m.stand(probed{p})
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
				m.reconnect.Ring() // whoever begins the next session looks at it too
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
