package health

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// isListable says whether a list may succeed where a streamed one failed: the
// server does not stream lists, or has forgotten the version asked for.
func isListable(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsResourceExpired(err) || apierrors.IsGone(err) ||
		apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge)
}

// opaqueError hides from the reflector what it would retry by itself, out of
// reach of a poke.
type opaqueError struct{ err error }

func (e opaqueError) Error() string { return e.err.Error() }

func opaque(err error) error {
	if isListable(err) {
		return err
	}
	return opaqueError{err}
}

// tap passes a watch's events on and notes how it ends, which client-go does not
// say: a connection that is refused or dies while a watch is opened gives a watch
// without events, and one that breaks later gives an error which the reflector
// only logs.
func (s *stream) tap(inner watch.Interface, cancel context.CancelCauseFunc, began time.Time) watch.Interface {
	t := &tap{inner: inner, cancel: cancel, events: make(chan watch.Event), stopped: make(chan struct{})}
	s.mu.Lock()
	s.current = t
	s.mu.Unlock()
	s.requests.Go(func() {
		defer close(t.events)
		err := t.pass(began)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.current == t { // else another attempt has begun
			s.current, s.err = nil, err
		}
	})
	return t
}

type tap struct {
	inner   watch.Interface
	cancel  context.CancelCauseFunc
	events  chan watch.Event
	once    sync.Once
	stopped chan struct{}
}

// ResultChan gives the events; it is closed when the watch has ended.
func (t *tap) ResultChan() <-chan watch.Event { return t.events }

// Stop ends the watch.
func (t *tap) Stop() {
	t.once.Do(func() {
		close(t.stopped)
		t.inner.Stop()
		t.cancel(nil)
	})
}

// pass gives nil for a watch that ended in good order, or that its list must be
// fetched anew.
func (t *tap) pass(began time.Time) error {
	defer t.Stop()
	silent := true
	for {
		select {
		case <-t.stopped:
			return nil
		case event, ok := <-t.inner.ResultChan():
			if !ok && silent && time.Since(began) < settled {
				return errLost
			}
			if !ok {
				return nil
			}
			silent = false
			if event.Type == watch.Error {
				// The reflector would only log it.
				if err := apierrors.FromObject(event.Object); !isListable(err) && !isBroken(err) {
					return err
				}
			}
			select {
			case <-t.stopped:
				return nil
			case t.events <- event:
			}
		}
	}
}

// isBroken recognises the error that client-go makes of a connection which dies
// under a watch. Whether that is worth a word, the next attempt shows.
func isBroken(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeUnexpectedServerResponse || cause.Type == metav1.CauseType("ClientWatchDecoding") {
			return true
		}
	}
	return false
}
