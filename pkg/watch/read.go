package watch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/failure"
)

const (
	// openTimeout is how long the answer to a request is waited for, and the next
	// object of a list.
	openTimeout = 30 * time.Second
	// resumeTimeout is how long a watch may take to be taken up again: meanwhile it
	// counts as standing.
	resumeTimeout = 5 * time.Second
	// pageSize is how many objects are listed at once where lists are not streamed.
	pageSize = 500
)

var (
	// errEnded is why a watch failed that ended too soon. client-go does not tell
	// whether the server ended it or the connection died, and who answers next may be
	// another server, restored from a backup: taken up there, the watch would wait
	// for changes that are long past or yet to come.
	errEnded = errors.New("the watch was ended before its time")
	// errBehind is why a watch failed whose server is behind what was seen before.
	errBehind = errors.New("the server of the watch is behind what was seen before")
	// errUnmarked is why a streamed list failed that began, and had no end.
	errUnmarked = errors.New("the list did not end")
)

// opened is a watch that stands.
type opened struct {
	watch.Interface
	cancel context.CancelCauseFunc
	caught atomic.Pointer[failure.Misbehaviour] // nil for none
	began  time.Time                            // when it was asked for
	last   time.Duration                        // how long it was asked to stand
}

// isOver reports whether the watch has stood for as long as it was asked to.
func (o *opened) isOver() bool { return time.Since(o.began) >= o.last }

// ended is why a watch is over of which nothing more comes.
func (o *opened) ended() error {
	if m := o.caught.Load(); m != nil {
		return m
	}
	return errEnded
}

func (o *opened) stop() {
	o.Stop()
	o.cancel(nil)
}

// List takes in what there is, and returns the watch of what follows.
//
// Lists are the truth about what was there when they were asked for. So both ways
// ask for the most recent state, as a quorum of etcd has it, and never for what
// one API server's cache happens to hold.
func (s *stream) list(ctx context.Context, paced bool) (*Listing, *opened, error) {
	l, w, err := s.listOnce(ctx, paced)
	if errors.Is(err, errRestored) {
		// Everything is to be seen again, which the next list shows.
		l, w, err = s.listOnce(ctx, true)
	}
	return l, w, err
}

func (s *stream) listOnce(ctx context.Context, paced bool) (*Listing, *opened, error) {
	if !s.plain {
		l, w, err := s.streamList(ctx)
		if err == nil || !mayBePlain(err) {
			return l, w, err
		}
	}
	if paced {
		s.pace.take() // the attempt has taken its turn, and this is more
	}
	l, err := s.pages(ctx)
	if err != nil {
		return nil, nil, err
	}
	w, err := s.watchFrom(ctx, openTimeout, metav1.ListOptions{ResourceVersion: l.ResourceVersion, AllowWatchBookmarks: true})
	return l, w, err
}

// mayBePlain reports whether a list may succeed where a streamed one failed: the
// server does not know how to stream lists.
func mayBePlain(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || errors.Is(err, errUnmarked)
}

// resume takes a watch up where it ended.
func (s *stream) resume(ctx context.Context, resourceVersion string) (*opened, error) {
	return s.watchFrom(ctx, resumeTimeout, metav1.ListOptions{ResourceVersion: resourceVersion, AllowWatchBookmarks: true})
}

// streamList asks for a watch that begins with what there is.
func (s *stream) streamList(ctx context.Context) (*Listing, *opened, error) {
	s.keys.begin()
	sendInitialEvents := true
	w, err := s.watchFrom(ctx, openTimeout, metav1.ListOptions{
		SendInitialEvents:    &sendInitialEvents,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		AllowWatchBookmarks:  true,
	})
	if err != nil {
		return nil, nil, err
	}
	l, err := s.collect(ctx, w)
	if err != nil {
		w.stop()
		return nil, nil, err
	}
	return l, w, nil
}

// collect reads the list that a watch begins with.
func (s *stream) collect(ctx context.Context, w *opened) (*Listing, error) {
	silence := time.NewTimer(openTimeout)
	defer silence.Stop()
	for {
		var event watch.Event
		var ok bool
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-silence.C:
			return nil, errUnmarked
		case event, ok = <-w.ResultChan():
		}
		if !ok {
			return nil, w.ended()
		}
		u, err := s.objectOf(ctx, w, event)
		if err != nil {
			return nil, err
		}
		switch event.Type {
		case watch.Added, watch.Modified:
			silence.Reset(openTimeout)
			err = s.keys.add(u)
		case watch.Deleted:
			err = s.keys.remove(u)
		case watch.Bookmark:
			if u.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
				return s.keys.end(u.GetResourceVersion())
			}
		case watch.Error:
		}
		if err != nil {
			return nil, err
		}
	}
}

// pages lists page by page, as one state of the cluster.
func (s *stream) pages(ctx context.Context) (*Listing, error) {
	s.keys.begin()
	o := metav1.ListOptions{Limit: pageSize}
	for n := range bounds.Pages {
		if n == longFrom {
			leave, err := s.long.take(ctx)
			if err != nil {
				return nil, err
			}
			defer leave()
		}
		listed := len(s.keys.list.objects)
		page, found, err := s.page(ctx, o)
		if found != nil {
			return nil, found
		}
		switch smaller, larger := o.Limit/pageStep, o.Limit*pageStep; {
		case err == nil:
		case isTooLarge(err) && smaller > 0:
			s.keys.begin()
			o = metav1.ListOptions{Limit: smaller}
			continue
		case apierrors.IsResourceExpired(err) && o.Continue != "" && o.Limit >= pageSize && larger <= bounds.Objects/2:
			// It took so long that the rest of that state is gone: in fewer pages then.
			s.keys.begin()
			o = metav1.ListOptions{Limit: larger}
			continue
		default:
			return nil, err
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return s.keys.end(page.ResourceVersion)
		}
		if len(s.keys.list.objects) != listed+page.Objects {
			return nil, failure.Misbehaves("lists %s without end: what was on a page is on the next one too", s.watch)
		}
	}
	return nil, failure.Misbehaves("lists %s without end, on more than %d pages", s.watch, bounds.Pages)
}

// pageStep is by how much pages become smaller that are too large, or larger where
// they took too long.
const pageStep = 100

func isTooLarge(err error) bool {
	_, ok := errors.AsType[*failure.Misbehaviour](err)
	return ok
}

// page takes in a page, or returns why it was not answered. Found is what is wrong with
// an object of it.
func (s *stream) page(ctx context.Context, o metav1.ListOptions) (page bounds.Page, found, err error) {
	s.ask()
	timed, cancel := context.WithTimeoutCause(ctx, 2*openTimeout,
		fmt.Errorf("no list within %v: %w", 2*openTimeout, context.DeadlineExceeded))
	defer cancel()
	o.LabelSelector, o.FieldSelector = s.watch.LabelSelector, s.watch.FieldSelector
	page, err = bounds.List(failure.Catching(timed, func(*failure.Misbehaviour) {}), s.client, o, func(u *unstructured.Unstructured) error {
		if err := s.load.pace(timed); err != nil {
			return err
		}
		found = s.keys.add(u)
		return found
	})
	if err != nil && timed.Err() != nil {
		err = context.Cause(timed)
	}
	return page, found, err
}

// longFrom is how many pages of a list are read without waiting. Of the lists that are
// longer, one at a time is read in a cluster: those without end are then no more than
// one, whatever the number of watches.
const longFrom = 20

// long is held by the one long list that is being read.
type long chan struct{}

func (l long) take(ctx context.Context) (leave func(), err error) {
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// watchFrom opens a watch, which ends after 5 to 10 minutes, so that those of many
// clients do not end together.
func (s *stream) watchFrom(ctx context.Context, timeout time.Duration, o metav1.ListOptions) (*opened, error) {
	s.ask()
	seconds := 300 + rand.Int64N(301)
	o.TimeoutSeconds = &seconds
	o.LabelSelector, o.FieldSelector = s.watch.LabelSelector, s.watch.FieldSelector
	ctx, cancel := context.WithCancelCause(ctx)
	w := &opened{cancel: cancel, began: time.Now(), last: time.Duration(seconds) * time.Second}
	late := time.AfterFunc(timeout, func() {
		cancel(fmt.Errorf("no answer within %v: %w", timeout, context.DeadlineExceeded))
	})
	inner, err := s.client.Watch(failure.Catching(ctx, w.caught.Store), o)
	if !late.Stop() && err == nil {
		inner.Stop()
		err = context.Cause(ctx)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	w.Interface = inner
	return w, nil
}

// read takes in events until the watch ends, and returns the resourceVersion at
// which it may be taken up; an error where it may not.
func (s *stream) read(ctx context.Context, w *opened, at string) (string, error) {
	// A server that does not end the watch in time may have forgotten it.
	overdue := time.NewTimer(w.last + settled)
	defer overdue.Stop()
	for {
		var event watch.Event
		var ok bool
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-overdue.C:
			return at, nil
		case event, ok = <-w.ResultChan():
		}
		if m := w.caught.Load(); !ok && m != nil {
			return "", m
		}
		if !ok {
			return at, nil
		}
		u, err := s.objectOf(ctx, w, event)
		if err != nil {
			return "", err
		}
		switch event.Type {
		case watch.Added, watch.Modified:
			err = s.keys.put(u)
		case watch.Deleted:
			err = s.keys.drop(u)
		case watch.Bookmark:
			if now := number64(u.GetResourceVersion()); now > 0 && now < number64(at) {
				err = errBehind // a consistent list tells whether the cluster is
			}
			s.keys.reach(u.GetResourceVersion())
		case watch.Error:
		}
		if err != nil {
			return "", err
		}
		at = u.GetResourceVersion()
	}
}

// objectOf returns what an event is about, or the error that it brings. It takes its
// time where there are more events than there ever are.
func (s *stream) objectOf(ctx context.Context, w *opened, event watch.Event) (*unstructured.Unstructured, error) {
	if err := s.load.pace(ctx); err != nil {
		return nil, err
	}
	if event.Type == watch.Error {
		if m := w.caught.Load(); m != nil {
			return nil, m // the client has other words for it
		}
		err := apierrors.FromObject(event.Object)
		if answer, ok := errors.AsType[*apierrors.StatusError](err); ok {
			bounds.CleanStatus(&answer.ErrStatus, s.secrets)
		}
		return nil, err
	}
	u, ok := event.Object.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("a %s event with a %T, want an object", event.Type, event.Object)
	}
	return u, nil
}

// isExpired reports whether the server has forgotten the history that it was asked
// for.
func isExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}

// isBroken recognises the error that client-go makes of a connection which dies
// under a watch.
func isBroken(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseType("ClientWatchDecoding"))
}
