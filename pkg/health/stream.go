package health

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
)

// pauses are those between two attempts.
type pauses struct {
	first, last               time.Duration // usually
	firstBlocked, lastBlocked time.Duration // where the kind may not be watched
	firstMissing, lastMissing time.Duration // where the kind is not served
	open                      time.Duration // for the answer to a request
}

func usualPauses() pauses {
	return pauses{
		first: 500 * time.Millisecond, last: 30 * time.Second,
		firstBlocked: time.Minute, lastBlocked: 10 * time.Minute,
		firstMissing: 2 * time.Second, lastMissing: time.Minute,
		open: 30 * time.Second,
	}
}

const (
	// settled is how long an attempt must last to count as a good one: shorter
	// ones make the pauses grow, or a server that ends every watch would be asked
	// without end.
	settled = time.Minute
	// young is how long a request is not yet suspected to hang when a poke says
	// that the cluster answers: at the start, the first good probe and the first
	// requests come together.
	young = time.Second
)

// stream runs one watch: a reflector fetches, a store of keys finds what
// changed, and what it says goes to the sink.
//
// The reflector is run attempt by attempt. Within one, a watch that the server
// ends in good order is taken up at its resourceVersion; everything else ends the
// attempt, and the next one lists anew. So nothing is missed that happened
// meanwhile, not even by an etcd that was restored from a backup.
type stream struct {
	watch  Watch
	client dynamic.ResourceInterface
	sink   func(Event)
	pauses pauses
	stop   context.CancelFunc // set before run
	store  *keys              // of the reflector; run's goroutine alone uses it

	// poked wakes a stream that pauses: one token does for any number of pokes.
	poked chan struct{}
	// requests are the lists and open watches. A list outlives its attempt by a
	// moment, since the reflector does not wait for it.
	requests sync.WaitGroup

	mu      sync.Mutex         // protects what follows
	listed  bool               // in this attempt
	current *tap               // the watch that stands; nil for none
	abort   context.CancelFunc // ends the attempt; nil for none
	asked   time.Time          // when its last request began
	err     error              // why the attempt's last request failed
	ended   bool               // no request may begin any more
}

func newStream(client dynamic.Interface, w Watch, sink func(Event), p pauses) *stream {
	return &stream{
		watch:  w,
		client: client.Resource(w.Resource).Namespace(w.Namespace),
		sink:   sink,
		pauses: p,
		poked:  make(chan struct{}, 1),
	}
}

func (s *stream) synced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listed
}

// nudge makes a stream that does not stand try at once, also where it has waited
// for an answer for some time.
func (s *stream) nudge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		return
	}
	select {
	case s.poked <- struct{}{}:
	default: // a token is there already
	}
	if s.abort != nil && time.Since(s.asked) > young {
		s.abort()
	}
}

func (s *stream) run(ctx context.Context) {
	defer s.end()

	reflector := s.reflector()
	var failed *WatchError // what the sink was told
	failures := 0
	for ctx.Err() == nil {
		began := time.Now()
		err := s.attempt(ctx, reflector)
		if ctx.Err() != nil {
			return
		}

		listed := s.synced()
		if listed {
			failed = nil
		}
		if listed && time.Since(began) >= settled {
			failures = 0
		}
		var now *WatchError
		if err != nil {
			now = newWatchError(s.watch, err)
			s.setListed(false)
			if now.Blocked() {
				s.store.renew()
			}
			if !now.same(failed) {
				s.sink(Event{Watch: s.watch, Type: Failed, Err: now})
				failures = 0
			}
			failed = now
		}
		if s.pause(ctx, now, failures) {
			failures = -1 // it was poked
		}
		failures++
	}
}

// attempt lists and watches until something fails, and gives what did. An end
// without an error is one after which to list anew.
func (s *stream) attempt(ctx context.Context, reflector *cache.Reflector) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.abort, s.asked = cancel, time.Now()
	s.err, s.listed, s.current = nil, false, nil
	select {
	case <-s.poked: // what it asked for begins here
	default:
	}
	s.mu.Unlock()

	err := reflector.ListAndWatchWithContext(ctx)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.abort = nil
	if ctx.Err() != nil { // poked, or stopped
		return nil
	}
	if s.err != nil {
		return s.err
	}
	return err
}

// pause waits before the next attempt and says whether a poke ended it.
func (s *stream) pause(ctx context.Context, err *WatchError, failures int) bool {
	timer := time.NewTimer(s.pauses.after(err, failures))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-s.poked:
		return true
	case <-timer.C:
		return false
	}
}

// after is the pause after so many failures in a row, a fifth more or less, so
// that watches which failed together do not come back together.
func (p pauses) after(err *WatchError, failures int) time.Duration {
	first, last := p.first, p.last
	switch {
	case err != nil && err.NotServed:
		first, last = p.firstMissing, p.lastMissing
	case err != nil && err.Blocked():
		first, last = p.firstBlocked, p.lastBlocked
	case failures == 0:
		// It stood for long: the server has restarted, or the history of changes
		// was compacted.
		return time.Duration(rand.Int64N(int64(first)))
	}
	pause := first
	for range failures {
		if pause >= last {
			break
		}
		pause *= 2
	}
	pause = min(pause, last)
	return pause*4/5 + time.Duration(rand.Int64N(int64(pause)*2/5+1))
}

func (s *stream) reflector() *cache.Reflector {
	s.store = newKeys(func(t EventType, u *unstructured.Unstructured) {
		if t == Listed {
			s.setListed(true)
		}
		s.sink(Event{Watch: s.watch, Type: t, Object: u})
	})
	requests := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc:  s.list,
		WatchFuncWithContext: s.openWatch,
	}, s.client)
	// The reflector asks for watches of 5 to 10 minutes and for bookmarks.
	return cache.NewReflectorWithOptions(requests, nil, s.store, cache.ReflectorOptions{
		Name:            s.watch.String(),
		TypeDescription: s.watch.Resource.String(),
	})
}

// end waits for the requests that have begun, and lets none begin.
func (s *stream) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.requests.Wait()
}

func (s *stream) setListed(listed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = listed
}

// list is the reflector's way where the server does not stream lists, as older
// ones do not.
func (s *stream) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if err := s.begin(); err != nil {
		// The reflector tries a list after any failure of a streamed one, where it
		// could only fail likewise.
		return nil, err
	}
	defer s.requests.Done()
	timed, cancel := context.WithTimeoutCause(ctx, 2*s.pauses.open,
		fmt.Errorf("no list within %v: %w", 2*s.pauses.open, context.DeadlineExceeded))
	defer cancel()

	o.LabelSelector, o.FieldSelector = s.watch.LabelSelector, s.watch.FieldSelector
	list, err := s.client.List(timed, o)
	if err != nil && timed.Err() != nil {
		err = context.Cause(timed)
	}
	s.note(ctx, err)
	return list, err
}

func (s *stream) openWatch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if err := s.begin(); err != nil {
		return nil, err // ends the attempt
	}
	defer s.requests.Done()
	attempt := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(s.pauses.open, func() {
		cancel(fmt.Errorf("no answer within %v: %w", s.pauses.open, context.DeadlineExceeded))
	})

	o.LabelSelector, o.FieldSelector = s.watch.LabelSelector, s.watch.FieldSelector
	began := time.Now()
	inner, err := s.client.Watch(ctx, o)
	if !late.Stop() && err == nil {
		inner.Stop()
		err = context.Cause(ctx)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		s.note(attempt, err)
		return nil, opaque(err)
	}
	s.note(attempt, nil)
	return s.tap(inner, cancel, began), nil
}

// begin counts a request that the caller has to count off. It refuses one that
// follows a failure which only a new attempt can mend.
func (s *stream) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return context.Canceled
	}
	if s.err != nil && !isListable(s.err) {
		return opaqueError{s.err}
	}
	s.requests.Add(1)
	s.asked = time.Now()
	return nil
}

// note keeps what came of a request, unless its attempt is over by now.
func (s *stream) note(attempt context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if attempt.Err() == nil {
		s.err = err
	}
}
