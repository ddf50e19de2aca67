package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A rendering renders one revision, in as many attempts as it takes. Each attempt
// ends with a complete rendering or with the end of its process.
type rendering struct {
	*Worker

	snapshot   federation.Snapshot
	federation *federation.Federation
	ready      func(federation.Cluster, []federation.Bundle)

	steps  bool // a partial result is of use
	sofar  func([]federation.Bundle, []federation.Finding)
	late   []string // the folders of postponed apps
	beside bool     // its process is used for nothing else

	overtaken *overtaking // renders the other apps at the same time; nil for none

	given  int           // clusters that ready was called for
	ended  []refusal     // work that had to be stopped
	deaths int           // processes that ended without work to blame
	spent  time.Duration // processor time of the processes that have ended
}

// time returns how long the next piece of work may take. After several pieces
// exceeded their time, the others get little, so that many of them cannot use up the
// revision's time: honest work is usually quick. Work that is stopped then is not
// remembered.
func (r *rendering) time() time.Duration {
	if len(r.ended) < patientStops {
		return r.o.Time
	}
	return r.o.Time / 10
}

// An outcome is the result of a rendering.
type outcome struct {
	bundles  []federation.Bundle
	findings []federation.Finding
}

// A death is the end of a process before the rendering was complete.
type death struct {
	guilty  *work    // the work in progress; nil for none
	refusal *refusal // names the limit that it exceeded; nil if unknown
	fresh   bool     // the process had rendered nothing before
	err     error
}

func (d *death) Error() string { return d.err.Error() }
func (d *death) Unwrap() error { return d.err }

// attempt renders in the current process or a new one. It kills the process
// unless the process completed the rendering.
func (r *rendering) attempt(ctx context.Context) (*outcome, error) {
	p, err := r.running(ctx)
	if err != nil {
		return nil, err
	}
	p.store.turn()
	f := &following{rendering: r, process: p, fresh: !p.used}
	p.used = true
	f.from = f.processor()
	request := newRequest(digest(r.snapshot.Files, "."), r.federation)
	request.Refused = append(r.stopped.refusals(), r.ended...)
	request.Late = r.late
	request.Left = max(total*r.o.Time-r.spent, 1)
	ended := make(chan error, 1) // the receiver may be gone
	go func() { ended <- f.follow(request) }()
	err = f.watch(ctx, ended)
	if !f.finished {
		r.discard()
	}
	if err != nil {
		return nil, err
	}
	return &f.outcome, nil
}

// learn records the consequences of the end of an attempt. It returns an error if
// another attempt is pointless.
func (r *rendering) learn(err error) error {
	if t, ok := errors.AsType[*tardiness](err); ok {
		r.late = append(r.late, t.app)
		r.Worker.late[t.app] = digest(r.snapshot.Files, t.app)
		r.o.Log.Info("an app takes long to render, so the others go first", zap.Stringer("revision", r.snapshot.Revision), zap.String("folder", t.app))
		return nil
	}
	d, ok := errors.AsType[*death](err)
	if !ok {
		return err // no process starts, or the revision's time is used up
	}
	if d.guilty == nil || d.refusal == nil && !d.fresh {
		// Earlier revisions may have filled its memory, or the system has killed it.
		const tries = 3
		if r.deaths++; r.deaths >= tries {
			return fmt.Errorf("the rendering process has ended %d times: %w", r.deaths, d.err)
		}
		return nil
	}
	refused := refusal{Reason: "the renderer fails while building it", Remedy: "simplify it; until then the running objects are left unchanged"}
	if d.refusal != nil {
		refused = *d.refusal
	}
	r.o.Log.Warn("a build was stopped", zap.Stringer("revision", r.snapshot.Revision),
		zap.String("folder", d.guilty.Dir), zap.String("reason", refused.Reason), zap.NamedError("end", d.err))
	refused.Key = d.guilty.Key
	if len(r.ended) < patientStops {
		r.stopped[refused.Key] = &stop{refusal: refused}
	}
	r.ended = append(r.ended, refused)
	return nil
}

// failed returns bundles that all have the same error.
func (r *rendering) failed(err error) []federation.Bundle {
	var all []federation.Bundle
	for _, c := range r.federation.Clusters {
		for _, a := range r.federation.Apps {
			if a.Selector.Matches(c) {
				all = append(all, federation.Bundle{Cluster: c.Name, App: a.Name, Err: err})
			}
		}
	}
	return all
}
