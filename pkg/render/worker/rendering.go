package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A rendering is one revision's, in as many attempts as it takes: each ends with the
// rendering or with its process.
type rendering struct {
	*Worker

	snapshot   federation.Snapshot
	federation *federation.Federation
	ready      func(federation.Cluster, []federation.Bundle)

	steps  bool // what is quick is of use before the rest is there
	sofar  func([]federation.Bundle, []federation.Finding)
	late   []string // the folders of apps that are put off
	beside bool     // in a process that is of no use for anything else

	overtaken *overtaking // renders what is quick meanwhile; nil for none

	given  int           // clusters that ready was called for
	ended  []refusal     // work that had to be stopped
	deaths int           // ends of processes for which no work is to blame
	spent  time.Duration // processor time of the processes that have ended
}

// time is how long the next piece of work may take. When several had their time in
// vain the others get little, so that many cannot take the revision's: what is honest
// is mostly quick. Those that are stopped then are not remembered.
func (r *rendering) time() time.Duration {
	if len(r.ended) < patientStops {
		return r.o.Time
	}
	return r.o.Time / 10
}

// An outcome is what a rendering comes to.
type outcome struct {
	bundles  []federation.Bundle
	findings []federation.Finding
}

// A death is the end of a process before that of the rendering.
type death struct {
	guilty  *work    // what was under way; nil where nothing was
	refusal *refusal // the limit that it exceeded; nil where it is not known
	fresh   bool     // the process had rendered nothing else
	err     error
}

func (d *death) Error() string { return d.err.Error() }
func (d *death) Unwrap() error { return d.err }

// attempt renders in the process there is, or in a new one. The process is gone
// afterwards unless it came to the rendering's end.
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
	ended := make(chan error, 1) // nobody may wait for it any longer
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

// learn draws the conclusion from the end of a process. Its error says that there is
// nothing more to try.
func (r *rendering) learn(err error) error {
	if t, ok := errors.AsType[*tardiness](err); ok {
		r.late = append(r.late, t.app)
		r.Worker.late[t.app] = digest(r.snapshot.Files, t.app)
		r.o.Log.Info("an app takes long to render, so the others go first", zap.Stringer("revision", r.snapshot.Revision), zap.String("folder", t.app))
		return nil
	}
	d, ok := errors.AsType[*death](err)
	if !ok {
		return err // no process starts, or the revision has had its time
	}
	if d.guilty == nil || d.refusal == nil && !d.fresh {
		// It may have been full of the revisions before, or the system has ended it.
		const tries = 3
		if r.deaths++; r.deaths >= tries {
			return fmt.Errorf("the process that renders has ended %d times: %w", r.deaths, d.err)
		}
		return nil
	}
	refused := refusal{Reason: "the renderer fails in it", Remedy: "simplify it; until then what runs is kept as it is"}
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
