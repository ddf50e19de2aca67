package watch

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/watchlist"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/failure"
	"github.com/fedsync/fedsync/pkg/federation"
)

const (
	// settled is how long a watch must stand to count as a good one: shorter ones
	// make the pauses grow, or a server that ends every watch would be asked without
	// end.
	settled = time.Minute
	// young is how long a request is not yet suspected to hang when a poke says
	// that the cluster answers: at the start, the first good probe and the first
	// requests come together.
	young = time.Second
)

// stream runs one watch, attempt by attempt. Within one, a watch that the server
// ends when the time asked for is over is taken up at its resourceVersion;
// everything else ends the attempt, and the next one lists again
// after a pause. So nothing is missed that happened meanwhile, and whatever the
// server answers, it is not asked more often than the pauses allow.
type stream struct {
	watch   Watch
	client  dynamic.ResourceInterface
	plain   bool // the client cannot stream lists
	sink    func(Event)
	pace    *pace
	release func(federation.FailureClass) // a watch that failed for it stands again
	stop    context.CancelFunc            // set before run
	keys    *keys                         // run's goroutine alone uses them
	load    *load                         // of all watches of the cluster
	long    long                          // likewise
	secrets *secret.Set                   // of the connection

	// poked wakes a stream that pauses: one token does for any number of pokes.
	poked chan struct{}

	mu       sync.Mutex         // protects what follows
	state    State              // as State gives it
	standing bool               // the watch is open
	abort    context.CancelFunc // ends the attempt; nil for none
	asked    time.Time          // when its last request began
}

// newStream returns the stream of one watch of a watcher.
func (w *Watcher) newStream(watch Watch) *stream {
	s := &stream{
		watch:   watch,
		client:  w.client.Resource(watch.Resource).Namespace(watch.Namespace),
		plain:   watchlist.DoesClientNotSupportWatchListSemantics(w.client),
		sink:    w.sink,
		pace:    &w.pace,
		release: w.release,
		secrets: w.Secrets,
		load:    w.load,
		long:    w.long,
		poked:   make(chan struct{}, 1),
		state:   State{Since: time.Now()},
	}
	s.keys = newKeys(watch.String(), w.load, s.emit)
	return s
}

func (s *stream) emit(e Event) {
	e.Watch = s.watch
	s.sink(e)
}

// nudge makes a stream that does not stand try at once, also where it has waited
// for an answer for some time.
func (s *stream) nudge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.standing {
		return
	}
	s.poke()
	if s.abort != nil && time.Since(s.asked) > young {
		s.abort()
	}
}

func (s *stream) poke() {
	select {
	case s.poked <- struct{}{}:
	default: // a token is there already
	}
}

func (s *stream) run(ctx context.Context) {
	defer s.keys.close()
	var told *Error // by the last event, if that was Failed
	failures := 0   // in a row, and since the last poke
	for ctx.Err() == nil {
		began := time.Now()
		listed, err := s.attempt(ctx, failures > 0)
		if ctx.Err() != nil {
			return
		}
		if listed {
			told = nil
		}
		if listed && time.Since(began) >= settled || err == nil {
			failures = 0
		}
		if err == nil { // it was called off, to begin again
			continue
		}
		failures++
		now := s.fail(err, listed && time.Since(began) >= settled)
		// What had stood is likely to stand again at once: the server was restarted,
		// or has forgotten the history of changes.
		if passing := listed && now.Failures == 1 && isEnd(err); !passing && !now.same(told) {
			s.emit(Event{Type: Failed, Err: now})
			told = now
		}
		if s.pause(ctx, failure.Of(err).Pause(failures)) {
			failures = 0
		}
	}
}

// attempt lists and watches until something fails, and returns what did; nil where
// it was called off. Listed reports whether the watch stood.
func (s *stream) attempt(ctx context.Context, paced bool) (listed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.begin(cancel)
	listed, err = s.follow(ctx, paced)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort, s.standing = nil, false
	if s.state.Synced {
		s.state.Synced, s.state.Since = false, time.Now()
	}
	if ctx.Err() != nil { // poked, or stopped
		err = nil
	}
	return listed, err
}

func (s *stream) begin(cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort, s.asked = cancel, time.Now()
	select {
	case <-s.poked: // what it asked for begins here
	default:
	}
}

// follow lists, and follows the changes for as long as the watch stands.
func (s *stream) follow(ctx context.Context, paced bool) (listed bool, err error) {
	l, w, err := s.list(ctx, paced)
	if err != nil {
		return false, err
	}
	defer func() { w.stop() }()
	if failed := s.open(l); failed != nil {
		// One that ends at once is no sign that the others would stand.
		stands := time.AfterFunc(young, func() { s.release(failed.Failure) })
		defer stands.Stop()
	}
	at := l.ResourceVersion
	for {
		if at, err = s.read(ctx, w, at); err != nil {
			return true, err
		}
		if !w.isOver() {
			return true, errEnded
		}
		w.stop()
		s.stand(false)
		next, err := s.resume(ctx, at)
		if err != nil {
			return true, err
		}
		w = next
		s.stand(true)
	}
}

// open takes in that a list is there and its watch stands, and returns why the watch
// did not stand before; nil where it did, or is new.
func (s *stream) open(listing *Listing) *Error {
	s.mu.Lock()
	failed := s.state.Err
	s.state.Synced, s.state.Since, s.state.Err = true, time.Now(), nil
	s.standing = true
	s.mu.Unlock()
	s.emit(Event{Type: Listed, Listing: listing})
	return failed
}

func (s *stream) stand(standing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standing = standing
}

// ask notes that a request begins.
func (s *stream) ask() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Now()
}

// Fail notes a failed attempt. First tells that those before it are over with: the
// watch had stood long enough.
func (s *stream) fail(err error, first bool) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first {
		s.state.Failures = 0
	}
	s.state.Failures++
	s.state.Err = newError(s.watch, err, s.state.Failures)
	return s.state.Err
}

// current tells how the watch is doing.
func (s *stream) current() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.state
	if now.Synced && time.Since(now.Since) >= settled {
		now.Failures = 0
	}
	return now
}

// pause waits before the next attempt, and reports whether a poke ended the wait.
func (s *stream) pause(ctx context.Context, d time.Duration) bool {
	// The turn is taken when the pause is over, so that who pauses long holds up
	// nobody.
	for _, wait := range []func() time.Duration{func() time.Duration { return d }, s.pace.take} {
		timer := time.NewTimer(wait())
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-s.poked:
			timer.Stop()
			return true
		case <-timer.C:
		}
	}
	return false
}

// isEnd reports whether an error is how watches that stood for long end.
func isEnd(err error) bool {
	return errors.Is(err, errEnded) || errors.Is(err, errRestored) || errors.Is(err, errBehind) || isExpired(err) || isBroken(err)
}
