package watch

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/klog/v2"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Watcher holds a set of watches on one cluster.
//
// A watch that stands costs no request: the server ends it after 5 to 10 minutes,
// and it is taken up where it ended. One that fails lists again, after the pauses
// that package failure sets, whatever the failure was. The tries after failures are
// at most 20 a minute in one Watcher: where everything is refused, the watches take
// turns. When one of them stands again, those that failed for the same reason try
// at once. Poke cuts the pauses short.
type Watcher struct {
	// Secrets are taken out of what the cluster says of failures. It is set before
	// Run; nil is none.
	Secrets *secret.Set

	client dynamic.Interface
	sink   func(Event)
	pace   pace
	load   *load
	long   long

	mu      sync.Mutex // protects wanted and streams
	wanted  map[Watch]bool
	streams map[Watch]*stream
	// released is when a watch that stood again last made others try.
	released time.Time
	// changed wakes Run: one token is enough for any number of changes.
	changed chan struct{}
}

// NewWatcher makes a watcher that gives every event to sink: those of one watch
// in order and one at a time, those of different watches at the same time. A sink
// that blocks holds up its watch.
//
// The client must have no rate limit of its own (QPS -1), or the watches of a
// cluster with many kinds wait for each other.
func NewWatcher(client dynamic.Interface, sink func(Event)) *Watcher {
	return &Watcher{
		client:  client,
		sink:    sink,
		wanted:  map[Watch]bool{},
		streams: map[Watch]*stream{},
		changed: make(chan struct{}, 1),
		load:    newLoad(),
		long:    make(long, 1), // one holder
	}
}

// Want makes set what is watched: watches that are new begin, those that it lacks
// end, the others go on undisturbed. It may be called at any time, also before
// Run.
func (w *Watcher) Want(set []Watch) {
	wanted := make(map[Watch]bool, len(set))
	for _, watch := range set {
		wanted[watch] = true
	}
	w.mu.Lock()
	w.wanted = wanted
	w.mu.Unlock()
	w.wake()
}

// State tells how a watch is doing. That of one which is not wanted is the zero
// State.
func (w *Watcher) State(watch Watch) State {
	w.mu.Lock()
	s := w.streams[watch]
	w.mu.Unlock()
	if s == nil {
		return State{}
	}
	return s.current()
}

// Poke makes every watch that does not stand try again at once: a cluster has
// come back, or the definition of a kind was applied. Watches that stand, or were
// asked for less than a second ago, are left alone.
func (w *Watcher) Poke() {
	w.pace.reset()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.streams {
		s.nudge()
	}
}

// release makes the watches try that failed for a reason which has passed for one
// of them. Once a minute is enough: a watch that comes and goes must not keep the
// others busy.
func (w *Watcher) release(class federation.FailureClass) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.released.IsZero() && time.Since(w.released) < settled {
		return
	}
	w.released = time.Now()
	w.pace.reset()
	for _, s := range w.streams {
		if err := s.current().Err; err != nil && err.Failure == class {
			s.nudge()
		}
	}
}

// Run watches until ctx ends and every watch has ended. A Watcher runs once.
func (w *Watcher) Run(ctx context.Context) {
	// What client-go would log, the events say.
	ctx = klog.NewContext(ctx, klog.Logger{})
	var running sync.WaitGroup
	defer running.Wait()
	for {
		for _, s := range w.update() {
			streamCtx, stop := context.WithCancel(ctx)
			s.stop = stop
			running.Go(func() {
				defer w.wake() // it may be wanted again by now
				defer w.remove(s)
				defer stop()
				s.run(streamCtx)
				if ctx.Err() == nil {
					w.sink(Event{Watch: s.watch, Type: Stopped})
				}
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
		}
	}
}

// update stops the streams that are no longer wanted and gives the new ones,
// which have yet to be started.
func (w *Watcher) update() []*stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	for watch, s := range w.streams {
		if !w.wanted[watch] {
			s.stop()
		}
	}
	var begin []*stream
	for watch := range w.wanted {
		// One that is just stopping stays in the map until it has stopped, so that
		// two streams of a watch never run at a time.
		if w.streams[watch] == nil {
			s := w.newStream(watch)
			w.streams[watch] = s
			begin = append(begin, s)
		}
	}
	return begin
}

func (w *Watcher) remove(s *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.streams, s.watch)
}

func (w *Watcher) wake() {
	select {
	case w.changed <- struct{}{}:
	default: // a token is there already
	}
}
