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
	// settled is how long a watch must stay open to count as good. Shorter ones increase
	// the pauses; otherwise a server that ends every watch would receive endless
	// requests.
	settled = time.Minute
	// young is the age up to which a request is not suspected to hang when a poke reports
	// that the cluster answers: at the start, the first good probe and the first requests
	// coincide.
	young = time.Second
)

// stream runs one watch in attempts. Within an attempt, a watch that ends when its
// requested duration has passed is resumed at its resourceVersion. Everything else ends
// the attempt, and after a pause the next one lists again. So no change is missed, and
// whatever the server answers, it gets no more requests than the pauses allow.
type stream struct {
	watch   Watch
	client  dynamic.ResourceInterface
	plain   bool // the client cannot stream lists
	sink    func(Event)
	pace    *pace
	release func(federation.FailureClass) // a watch that failed for this class works again
	stop    context.CancelFunc            // set before run
	keys    *keys                         // used only by run's goroutine
	load    *load                         // of all watches of the cluster
	long    long                          // likewise
	secrets *secret.Set                   // of the connection

	// poked wakes a stream that pauses: one token suffices for any number of pokes.
	poked chan struct{}

	mu     sync.Mutex         // protects what follows
	state  State              // as State returns it
	isOpen bool               // the watch is open
	abort  context.CancelFunc // ends the attempt; nil for none
	asked  time.Time          // when its last request began
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

// nudge makes a stream without an open watch try at once, even if it has been waiting for
// an answer for some time.
func (s *stream) nudge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isOpen {
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
	var reported *Error // by the last event, if that was Failed
	failures := 0       // in a row, and since the last poke
	for ctx.Err() == nil {
		began := time.Now()
		listed, err := s.attempt(ctx, failures > 0)
		if ctx.Err() != nil {
			return
		}
		if listed {
			reported = nil
		}
		if listed && time.Since(began) >= settled || err == nil {
			failures = 0
		}
		if err == nil { // it was cancelled, to start again
			continue
		}
		failures++
		now := s.fail(err, listed && time.Since(began) >= settled)
		// A watch that was open is likely to reopen at once: the server was restarted, or
		// has forgotten the history of changes.
		if passing := listed && now.Failures == 1 && isEnd(err); !passing && !now.same(reported) {
			s.emit(Event{Type: Failed, Err: now})
			reported = now
		}
		if s.pause(ctx, failure.Of(err).Pause(failures)) {
			failures = 0
		}
	}
}

// attempt lists and watches until something fails, and returns the error; nil if it was
// cancelled. listed reports whether the watch was open.
func (s *stream) attempt(ctx context.Context, paced bool) (listed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.begin(cancel)
	listed, err = s.follow(ctx, paced)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort, s.isOpen = nil, false
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
	case <-s.poked: // this attempt fulfils it
	default:
	}
}

// follow lists, and then follows the changes for as long as the watch is open.
func (s *stream) follow(ctx context.Context, paced bool) (listed bool, err error) {
	l, w, err := s.list(ctx, paced)
	if err != nil {
		return false, err
	}
	defer func() { w.stop() }()
	if failed := s.open(l); failed != nil {
		// A watch that ends at once does not show that other watches would work.
		works := time.AfterFunc(young, func() { s.release(failed.Failure) })
		defer works.Stop()
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
		s.setOpen(false)
		next, err := s.resume(ctx, at)
		if err != nil {
			return true, err
		}
		w = next
		s.setOpen(true)
	}
}

// open records that the list is complete and its watch is open. It returns why the watch
// had failed before; nil if it had not.
func (s *stream) open(listing *Listing) *Error {
	s.mu.Lock()
	failed := s.state.Err
	s.state.Synced, s.state.Since, s.state.Err = true, time.Now(), nil
	s.isOpen = true
	s.mu.Unlock()
	s.emit(Event{Type: Listed, Listing: listing})
	return failed
}

func (s *stream) setOpen(isOpen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isOpen = isOpen
}

// ask records that a request starts.
func (s *stream) ask() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Now()
}

// fail records a failed attempt. first reports that earlier failures no longer count,
// because the watch was open long enough.
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

// current returns the state of the watch.
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
	// Take the turn only after the pause, so that a long pause delays no other watch.
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

// isEnd reports whether an error is a usual end of a watch that was open for long.
func isEnd(err error) bool {
	return errors.Is(err, errEnded) || errors.Is(err, errRestored) || errors.Is(err, errBehind) || isExpired(err) || isBroken(err)
}
