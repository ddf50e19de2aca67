package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Options configure a Worker. The zero value is ready to use.
type Options struct {
	// Memory is how much memory a process may use for renderings, in bytes, in
	// addition to its memory at the start; DefaultMemory if zero.
	Memory int64
	// Time is the processor time that one piece of work may use: reading one
	// kustomization, or building one folder; DefaultTime if zero.
	Time time.Duration
	// Require refuses to render if the system provides no filter of system calls,
	// or no memory limit.
	Require bool
	// Niceness is the nice value of the process, from 1 to 19; DefaultNiceness
	// if zero.
	Niceness int
	Log      *zap.Logger // nil for none
}

// The default limits. A repository of some thousand objects needs a tenth of
// them.
const (
	DefaultMemory = 320 << 20
	DefaultTime   = 6 * time.Second

	// DefaultNiceness gives applying priority over rendering.
	DefaultNiceness = 10
)

// Worker renders revisions in a separate process, which it starts for the first
// rendering and then reuses. It is safe for concurrent use; renderings run one at a
// time. The program's main function must call Serve.
type Worker struct {
	o Options

	turn              sync.Mutex // held by one rendering; protects what follows
	process           *process   // nil if none runs
	stopped           stopped
	late              late
	confinementLogged bool // whether the confinement was logged
	closed            bool
}

// New returns a Worker. Close ends its process.
func New(o Options) *Worker {
	o.Memory = cmp.Or(o.Memory, DefaultMemory)
	o.Time = cmp.Or(o.Time, DefaultTime)
	o.Niceness = cmp.Or(o.Niceness, DefaultNiceness)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Worker{o: o, stopped: stopped{}, late: late{}}
}

// Close waits for the running rendering and ends the process. Later renderings
// fail.
func (w *Worker) Close() {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.closed = true
	w.discard()
}

// Render is like render.Renderer.Render. Work that exceeds a limit fails, with
// everything that needs it; the rest is rendered nevertheless.
func (w *Worker) Render(ctx context.Context, snapshot federation.Snapshot, f *federation.Federation,
	ready func(federation.Cluster, []federation.Bundle),
) ([]federation.Bundle, []federation.Finding) {
	return w.RenderInSteps(ctx, snapshot, f, ready, nil)
}

// RenderInSteps is Render for callers that can use a partial result. When building one app
// takes long, all others are rendered at the same time, and sofar is called with the
// partial result before the whole is rendered and returned. In it the bundles of the slow
// app have an error, but no finding reports it. sofar is called at most once, from
// another goroutine, and never after RenderInSteps returns.
func (w *Worker) RenderInSteps(ctx context.Context, snapshot federation.Snapshot, f *federation.Federation,
	ready func(federation.Cluster, []federation.Bundle), sofar func([]federation.Bundle, []federation.Finding),
) ([]federation.Bundle, []federation.Finding) {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.stopped.turn()
	r := &rendering{Worker: w, snapshot: snapshot, federation: f, ready: once(ready), steps: sofar != nil, sofar: sofar}
	if r.steps {
		r.late = w.late.in(snapshot, f)
	}
	done := r.run(ctx)
	r.end(ctx)
	if len(r.late) == 0 || ctx.Err() != nil {
		return done.bundles, done.findings
	}
	if done.partial() {
		sofar(done.sofar())
		known := w.process
		w.process = nil
		done = r.rest().run(ctx)
		if ctx.Err() != nil && known != nil {
			w.discard()
		}
		if w.process != nil && known != nil {
			known.end() // the other process has more in its caches
		} else if w.process == nil {
			w.process = known
		}
	}
	if ctx.Err() == nil {
		r.forgetLate(done)
	}
	return done.bundles, done.findings
}

// run renders, in as many attempts as it takes.
func (r *rendering) run(ctx context.Context) *outcome {
	for {
		done, err := r.attempt(ctx)
		switch {
		case err == nil:
			return done
		case ctx.Err() != nil:
			return &outcome{bundles: r.failed(ctx.Err())}
		}
		if err := r.learn(err); err != nil {
			r.o.Log.Error("a revision cannot be rendered", zap.Stringer("revision", r.snapshot.Revision), zap.Error(err))
			return &outcome{bundles: r.failed(err), findings: []federation.Finding{{
				ID: federation.FindingRender, Severity: federation.SeverityError, Message: untrusted.New(err.Error()),
				Remedy: untrusted.Const("see fedsync's log; the running objects are left unchanged"),
			}}}
		}
	}
}

// running returns the process, and starts one if there is none.
func (w *Worker) running(ctx context.Context) (*process, error) {
	if w.closed {
		return nil, errors.New("the renderer is closed")
	}
	if w.process != nil {
		return w.process, nil
	}
	p, err := start(ctx, w.o.Memory, w.o.Niceness)
	if err != nil {
		return nil, fmt.Errorf("start the rendering process: %w", err)
	}
	weak := cmp.Or(p.hello.Filter, p.hello.Memory)
	if weak != "" && w.o.Require {
		p.end()
		return nil, fmt.Errorf("the rendering process cannot be confined as --sandbox=require demands: %s", weak)
	}
	if !w.confinementLogged {
		w.confinementLogged = true
		w.logConfinement(p.hello)
	}
	w.process = p
	return p, nil
}

func (w *Worker) logConfinement(h hello) {
	if h.Filter == "" && h.Memory == "" {
		w.o.Log.Debug("the rendering process is confined")
		return
	}
	w.o.Log.Warn("the rendering process is not fully confined",
		zap.String("system-calls", cmp.Or(h.Filter, "filtered")), zap.String("memory", cmp.Or(h.Memory, "limited")))
}

// discard kills the process.
func (w *Worker) discard() {
	if w.process != nil {
		w.process.end()
		w.process = nil
	}
}
