package worker

import (
	"context"
	"maps"
	"sync"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
)

// An overtaking renders all apps except one that takes long, in a separate process,
// while that one is built. The others need not wait, and the build is not interrupted.
type overtaking struct {
	worker *Worker // owns the process; it has no other rendering
	app    string  // the folder of the one that takes long
	stop   context.CancelFunc
	ended  chan struct{} // closed when the rendering has ended
	done   bool          // the others are rendered; may be read after ended is closed
}

// overtake starts an overtaking if there is none, and reports whether it did. It does
// not for a rendering that already postponed an app.
func (r *rendering) overtake(ctx context.Context, app string) bool {
	if r.sofar == nil || r.overtaken != nil || len(r.late) > 0 {
		return false
	}
	ctx, stop := context.WithCancel(ctx)
	w := &Worker{o: r.o, stopped: maps.Clone(r.stopped), late: late{}, confinementLogged: true}
	o := &overtaking{worker: w, app: app, stop: stop, ended: make(chan struct{})}
	others := &rendering{
		Worker: w, snapshot: r.snapshot, federation: r.federation, ready: r.ready,
		steps: true, late: []string{app}, beside: true,
	}
	r.overtaken = o
	r.o.Log.Debug("an app takes long to render, so the others are rendered at the same time",
		zap.Stringer("revision", r.snapshot.Revision), zap.String("folder", app))
	go func() {
		defer close(o.ended)
		defer stop()
		if outcome := others.run(ctx); ctx.Err() == nil && outcome.partial() {
			o.done = true
			r.sofar(outcome.sofar())
		}
	}()
	return true
}

// isDone reports whether the others are rendered.
func (o *overtaking) isDone() bool {
	if o == nil {
		return false
	}
	select {
	case <-o.ended:
		return o.done
	default:
		return false
	}
}

// end ends an overtaking after its rendering was completed or abandoned. If the
// process of the slow app was lost, the overtaking's process replaces it. An app
// whose rendering was cancelled would take long in the next revision too, so it
// becomes late.
func (r *rendering) end(ctx context.Context) {
	o := r.overtaken
	if o == nil {
		return
	}
	o.stop()
	<-o.ended
	if ctx.Err() != nil {
		r.Worker.late[o.app] = digest(r.snapshot.Files, o.app)
	}
	if r.process == nil && o.done {
		r.process = o.worker.process
		return
	}
	o.worker.discard()
}

// once returns a function that calls ready only the first time that it is called with
// a cluster, whichever process the call comes from. It is safe for concurrent use.
func once(ready func(federation.Cluster, []federation.Bundle)) func(federation.Cluster, []federation.Bundle) {
	if ready == nil {
		return nil
	}
	var mu sync.Mutex
	passed := map[string]bool{}
	return func(c federation.Cluster, bundles []federation.Bundle) {
		mu.Lock()
		defer mu.Unlock()
		if !passed[c.Name] {
			passed[c.Name] = true
			ready(c, bundles)
		}
	}
}
