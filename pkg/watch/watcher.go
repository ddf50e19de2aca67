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

// Watcher runs a set of watches on one cluster.
//
// An open watch costs no requests: the server ends it after 5 to 10 minutes, and it is
// resumed where it ended. A failed watch lists again, after the pauses of package
// failure, whatever the reason. All tries after failures are limited to 20 per minute in
// one Watcher: if everything is refused, the watches take turns. When one of them works
// again, those that failed for the same reason try at once. Poke ends the pauses early.
type Watcher struct {
	// Secrets are removed from the cluster's error messages. It is set before Run; nil
	// means none.
	Secrets *secret.Set

	client dynamic.Interface
	sink   func(Event)
	pace   pace
	load   *load
	long   long

	mu      sync.Mutex // protects wanted and streams
	wanted  map[Watch]bool
	streams map[Watch]*stream
	// released is when a recovered watch last made others try.
	released time.Time
	// changed wakes Run: one token suffices for any number of changes.
	changed chan struct{}
}

// NewWatcher returns a watcher that passes every event to sink: those of one watch in
// order and one at a time, those of different watches concurrently. A sink that blocks
// delays its watch.
//
// The client must have no rate limit of its own (QPS -1), or the watches of a cluster
// with many kinds wait for each other.
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

// Want sets the wanted watches: new ones start, missing ones end, and the rest continue
// undisturbed. It may be called at any time, also before Run.
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

// State returns the state of a watch; the zero State if it is not wanted.
func (w *Watcher) State(watch Watch) State {
	w.mu.Lock()
	s := w.streams[watch]
	w.mu.Unlock()
	if s == nil {
		return State{}
	}
	return s.current()
}

// Poke makes every failed watch try again at once: a cluster has returned, or the
// definition of a kind was applied. Watches that are open, or were requested less than a
// second ago, are left alone.
func (w *Watcher) Poke() {
	w.pace.reset()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.streams {
		s.nudge()
	}
}

// release retries the watches that failed for a reason that has passed for one of them.
// It acts at most once per minute: a watch that comes and goes must not keep the others
// busy.
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
	// Discard client-go's log; the events report the same.
	ctx = klog.NewContext(ctx, klog.Logger{})
	var running sync.WaitGroup
	defer running.Wait()
	for {
		for _, s := range w.update() {
			streamCtx, stop := context.WithCancel(ctx)
			s.stop = stop
			running.Go(func() {
				defer w.wake() // it may be wanted again
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

// update stops the streams that are no longer wanted and returns the new ones, which the
// caller starts.
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
		// A stopping stream stays in the map until it has stopped, so that two streams of
		// a watch never run at a time.
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
