package probe

import (
	"cmp"
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
	"k8s.io/client-go/rest"

	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Options say how a cluster is probed. The zero value is how it is usually
// done.
type Options struct {
	Interval time.Duration // from start to start; 2 s
	Timeout  time.Duration // of one probe, hard; 2 s
	Offline  int           // failed probes in a row until a cluster is Offline; 3
	Back     int           // good probes in a row until it is back; 2
	Guard    *bounds.Guard // of the cluster's other clients, whose secrets it knows; one of its own
	Log      *zap.Logger   // gets each failed probe, at debug level; none
}

// Prober asks one cluster every few seconds whether it is there.
//
// It has a transport of its own, so that neither a rate limit nor a connection
// that hangs under the other requests can pass for an absent cluster, and none
// of its probes can hold up anything else.
type Prober struct {
	ask     *asker
	options Options

	mu    sync.Mutex // protects probe
	probe Probe
}

// NewProber makes a prober of the cluster that cfg leads to. A cfg that cannot be
// used is no error here: its files may be there later, and until then the probes
// fail with the class context.
func NewProber(cfg *rest.Config, o Options) *Prober {
	o.Interval = cmp.Or(o.Interval, 2*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.Offline = cmp.Or(o.Offline, 3)
	o.Back = cmp.Or(o.Back, 2)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Guard == nil {
		o.Guard = bounds.New(cfg, nil)
	}
	return &Prober{
		ask:     newAsker(cfg, o.Timeout, o.Guard),
		options: o,
		probe:   Probe{State: federation.ClusterPending},
	}
}

// Last is what the probes add up to by now. Unlike what Run reports, it counts
// every probe.
func (p *Prober) Last() Probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.probe
}

// versionPause bounds the pause before the version is asked for again: an API server
// that answers nothing but its probes is left in peace.
const versionPause = time.Minute

// Run probes until ctx ends, the first time at once and never twice at a time. It
// calls report at every change of the cluster's state, class of failure or
// version, and not at every probe; report must not block.
//
// A probe during which the process stood still, as under SIGSTOP, does not count:
// the next one follows at once.
//
// Run waits for its request to end, with one exception: a credentials plugin that
// hangs cannot be interrupted, so Run leaves it behind after the time of one
// probe.
func (p *Prober) Run(ctx context.Context, report func(Probe)) {
	defer p.ask.close()
	ticker := time.NewTicker(p.options.Interval)
	defer ticker.Stop()

	tracker := NewTracker(p.options.Offline, p.options.Back, time.Now())
	p.keep(tracker.Probe())
	askVersion, void := true, false
	var askAt time.Time // when the version is asked for again, after a failure
	var pause time.Duration
	for {
		began := time.Now()
		answer := p.ask.get(ctx, "readyz")
		if ctx.Err() != nil {
			return
		}
		// An answer that came much later than its timeout tells about us: the process
		// stood still, and whether the cluster would have answered nobody knows. Twice
		// in a row counts, or a busy machine would never find out.
		if stood := time.Since(began) > p.options.Timeout+p.options.Interval; stood && !void {
			void = true
			continue
		}
		void = false
		if answer.failure != federation.FailureNone {
			p.options.Log.Debug("probe failed",
				zap.String("class", string(answer.failure)), zap.String("error", answer.message))
		}
		changed := tracker.Observe(time.Now(), answer.failure, answer.message)
		p.keep(tracker.Probe())
		if changed {
			report(tracker.Probe())
		}

		// A server that was away, or would not let us in, may have come back as
		// another.
		if tracker.Probe().State != federation.ClusterReady {
			askVersion, askAt, pause = true, time.Time{}, 0
		} else if askVersion && !time.Now().Before(askAt) {
			version, done := p.ask.version(ctx)
			askVersion = !done
			pause = min(max(2*pause, p.options.Interval), versionPause)
			askAt = time.Now().Add(pause)
			if done && tracker.Versioned(version) {
				p.keep(tracker.Probe())
				report(tracker.Probe())
			}
		}

		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *Prober) keep(probe Probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probe = probe
}
