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

// Options tune a Worker. The zero value is fit for use.
type Options struct {
	// Memory is what a process may take for its renderings, in bytes, besides what
	// it has when it starts; DefaultMemory unless given.
	Memory int64
	// Time is how long one piece of work may keep a processor: reading one
	// kustomization, or building one folder; DefaultTime unless given.
	Time time.Duration
	// Require refuses to render where the system does not give a filter of system
	// calls, or no limit of memory.
	Require bool
	// Niceness is how far the process stands back behind others, from 1 to 19;
	// DefaultNiceness unless given.
	Niceness int
	Log      *zap.Logger // nil for none
}

// The limits unless Options has others. A repository of some thousand objects
// needs a tenth of them.
const (
	DefaultMemory = 320 << 20
	DefaultTime   = 6 * time.Second

	// DefaultNiceness lets what applies go first.
	DefaultNiceness = 10
)

// Worker renders revisions in a process of its own, which it starts when there is
// something to render and keeps. It is safe for concurrent use; renderings wait for
// one another. The program's main function must call Serve.
type Worker struct {
	o Options

	turn    sync.Mutex // held by one rendering; protects what follows
	process *process   // nil when none runs
	stopped stopped
	late    late
	said    bool // how the process is confined
	closed  bool
}

// New makes a Worker. Close ends its process.
func New(o Options) *Worker {
	o.Memory = cmp.Or(o.Memory, DefaultMemory)
	o.Time = cmp.Or(o.Time, DefaultTime)
	o.Niceness = cmp.Or(o.Niceness, DefaultNiceness)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return &Worker{o: o, stopped: stopped{}, late: late{}}
}

// Close ends the process once the rendering under way has ended. Later renderings
// fail.
func (w *Worker) Close() {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.closed = true
	w.discard()
}

// Render does what render.Renderer.Render does. Work that exceeds a limit fails,
// and what needs it with it; the rest is rendered all the same.
func (w *Worker) Render(ctx context.Context, snapshot federation.Snapshot, f *federation.Federation,
	ready func(federation.Cluster, []federation.Bundle),
) ([]federation.Bundle, []federation.Finding) {
	return w.RenderInSteps(ctx, snapshot, f, ready, nil)
}

// RenderInSteps is Render for whom a part of a revision is of use. When building one app
// takes long, all others are rendered beside it, and sofar gets what there is then, before
// the whole is rendered and returned: the bundles of that app have an error, and nothing
// is said of it. It is called once at most, by another goroutine, and never after the
// return.
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
			known.end() // the other knows more
		} else if w.process == nil {
			w.process = known
		}
	}
	if ctx.Err() == nil {
		r.forgetLate(done)
	}
	return done.bundles, done.findings
}

// run renders in as many attempts as it takes.
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
				Remedy: untrusted.Const("see fedsync's log; what runs is kept as it is"),
			}}}
		}
	}
}

// running returns the process, and starts one where there is none.
func (w *Worker) running(ctx context.Context) (*process, error) {
	if w.closed {
		return nil, errors.New("the renderer is closed")
	}
	if w.process != nil {
		return w.process, nil
	}
	p, err := start(ctx, w.o.Memory, w.o.Niceness)
	if err != nil {
		return nil, fmt.Errorf("start a process to render in: %w", err)
	}
	weak := cmp.Or(p.hello.Filter, p.hello.Memory)
	if weak != "" && w.o.Require {
		p.end()
		return nil, fmt.Errorf("the process to render in cannot be confined, as --sandbox=require wants it: %s", weak)
	}
	if !w.said {
		w.said = true
		w.say(p.hello)
	}
	w.process = p
	return p, nil
}

func (w *Worker) say(h hello) {
	if h.Filter == "" && h.Memory == "" {
		w.o.Log.Debug("the process that renders is confined")
		return
	}
	w.o.Log.Warn("the process that renders is not wholly confined",
		zap.String("system-calls", cmp.Or(h.Filter, "filtered")), zap.String("memory", cmp.Or(h.Memory, "limited")))
}

// discard ends the process.
func (w *Worker) discard() {
	if w.process != nil {
		w.process.end()
		w.process = nil
	}
}
