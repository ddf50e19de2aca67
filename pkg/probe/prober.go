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

// Options configure how a cluster is probed. The zero value means the defaults.
type Options struct {
	Interval time.Duration // from start to start; 2 s
	Timeout  time.Duration // of one probe, hard; 2 s
	Offline  int           // failed probes in a row until a cluster is Offline; 3
	Back     int           // good probes in a row until it is back; 2
	Guard    *bounds.Guard // the guard of the cluster's other clients, which knows their secrets; a new one
	Log      *zap.Logger   // logs each failed probe at debug level; no log
}

// Prober checks every few seconds whether one cluster is available.
//
// It has a transport of its own. A rate limit or a hanging connection of other requests
// cannot make the cluster look absent, and its probes cannot delay anything else.
type Prober struct {
	ask     *asker
	options Options

	mu    sync.Mutex // protects probe
	probe Probe
}

// NewProber returns a prober of the cluster of cfg. An unusable cfg is no error here: its
// files may appear later, and until then the probes fail with the class context.
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

// Last returns the current result of the probes. Unlike the reports of Run, it includes
// every probe.
func (p *Prober) Last() Probe {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.probe
}

// versionPause bounds the pause before the version is requested again: an API server that
// answers only its probes gets few further requests.
const versionPause = time.Minute

// Run probes until ctx ends: immediately, and then one probe at a time. It calls report
// only when the cluster's state, class of failure or version changes; report must not
// block.
//
// A probe during which the process was suspended, as under SIGSTOP, does not count: the
// next one follows at once.
//
// Run waits for its request to end, with one exception: a credentials plugin that hangs
// cannot be interrupted, so Run abandons it after the time of one probe.
func (p *Prober) Run(ctx context.Context, report func(Probe)) {
	defer p.ask.close()
	ticker := time.NewTicker(p.options.Interval)
	defer ticker.Stop()

	tracker := NewTracker(p.options.Offline, p.options.Back, time.Now())
	p.set(tracker.Probe())
	askVersion, void := true, false
	var askAt time.Time // when the version is requested again, after a failure
	var pause time.Duration
	for {
		began := time.Now()
		answer := p.ask.get(ctx, "readyz")
		if ctx.Err() != nil {
			return
		}
		// An answer long after its timeout is our fault: the process was suspended, and
		// whether the cluster would have answered is unknown. The second in a row counts,
		// or a busy machine would never reach a result.
		if suspended := time.Since(began) > p.options.Timeout+p.options.Interval; suspended && !void {
			void = true
			continue
		}
		void = false
		if answer.failure != federation.FailureNone {
			p.options.Log.Debug("probe failed",
				zap.String("class", string(answer.failure)), zap.String("error", answer.message))
		}
		changed := tracker.Observe(time.Now(), answer.failure, answer.message)
		p.set(tracker.Probe())
		if changed {
			report(tracker.Probe())
		}

		// A server that was unavailable, or refused us, may return as another one.
		if tracker.Probe().State != federation.ClusterReady {
			askVersion, askAt, pause = true, time.Time{}, 0
		} else if askVersion && !time.Now().Before(askAt) {
			version, done := p.ask.version(ctx)
			askVersion = !done
			pause = min(max(2*pause, p.options.Interval), versionPause)
			askAt = time.Now().Add(pause)
			if done && tracker.SetVersion(version) {
				p.set(tracker.Probe())
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

func (p *Prober) set(probe Probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probe = probe
}
