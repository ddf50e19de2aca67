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
	// openTimeout is the timeout for the answer to a request, and for the next object of
	// a list.
	openTimeout = 30 * time.Second
	// resumeTimeout is how long a watch may take to resume. It counts as open until then.
	resumeTimeout = 5 * time.Second
	// pageSize is how many objects are listed at once if lists are not streamed.
	pageSize = 500
)

var (
	// errEnded is the error of a watch that ended too soon. client-go does not report
	// whether the server ended it or the connection broke. The next answer may come from
	// another server, restored from a backup: a watch resumed there would wait for
	// changes that are long past or yet to come.
	errEnded = errors.New("the watch ended early")
	// errBehind is the error of a watch whose server is behind the state seen before.
	errBehind = errors.New("the server of the watch is behind the state seen before")
	// errUnmarked is the error of a streamed list that started but did not end.
	errUnmarked = errors.New("the list did not end")
)

// opened is an open watch.
type opened struct {
	watch.Interface
	cancel   context.CancelCauseFunc
	caught   atomic.Pointer[failure.Misbehaviour] // nil for none
	began    time.Time                            // when it was requested
	lifetime time.Duration                        // the requested duration
}

// isOver reports whether the requested duration of the watch has passed.
func (o *opened) isOver() bool { return time.Since(o.began) >= o.lifetime }

// ended returns why a watch without further events is over.
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

// list reads the current objects, and returns the watch of the changes after them.
//
// A list must be the truth about what existed when it was requested. So both ways request
// the most recent state, by a quorum of etcd, and never the content of one API server's
// cache.
func (s *stream) list(ctx context.Context, paced bool) (*Listing, *opened, error) {
	l, w, err := s.listOnce(ctx, paced)
	if errors.Is(err, errRestored) {
		// Every object must be seen again, which the next list does.
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
		s.pace.take() // the attempt has taken its turn, and this is another request
	}
	l, err := s.pages(ctx)
	if err != nil {
		return nil, nil, err
	}
	w, err := s.watchFrom(ctx, openTimeout, metav1.ListOptions{ResourceVersion: l.ResourceVersion, AllowWatchBookmarks: true})
	return l, w, err
}

// mayBePlain reports whether an ordinary list may succeed after a streamed one failed,
// because the server does not support streamed lists.
func mayBePlain(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) || errors.Is(err, errUnmarked)
}

// resume resumes a watch where it ended.
func (s *stream) resume(ctx context.Context, resourceVersion string) (*opened, error) {
	return s.watchFrom(ctx, resumeTimeout, metav1.ListOptions{ResourceVersion: resourceVersion, AllowWatchBookmarks: true})
}

// streamList requests a watch that starts with the existing objects.
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

// collect reads the list at the start of a watch.
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
			// It took so long that the rest of that state is gone, so use fewer pages.
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
			return nil, failure.Misbehaves("lists %s without end: a page repeats objects of the page before it", s.watch)
		}
	}
	return nil, failure.Misbehaves("lists %s without end, on more than %d pages", s.watch, bounds.Pages)
}

// pageStep is the factor by which pages shrink if they are too large, or grow if the list
// took too long.
const pageStep = 100

func isTooLarge(err error) bool {
	_, ok := errors.AsType[*failure.Misbehaviour](err)
	return ok
}

// page reads a page. err is why the request failed; found is the fault of an object on
// the page.
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

// longFrom is how many pages of a list are read without waiting. Longer lists of a
// cluster are read one at a time, so that there is at most one endless list, whatever the
// number of watches.
const longFrom = 20

// long is held by the long list that is being read.
type long chan struct{}

func (l long) take(ctx context.Context) (leave func(), err error) {
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// watchFrom opens a watch that ends after 5 to 10 minutes, so that the watches of many
// clients do not end together.
func (s *stream) watchFrom(ctx context.Context, timeout time.Duration, o metav1.ListOptions) (*opened, error) {
	s.ask()
	seconds := 300 + rand.Int64N(301)
	o.TimeoutSeconds = &seconds
	o.LabelSelector, o.FieldSelector = s.watch.LabelSelector, s.watch.FieldSelector
	ctx, cancel := context.WithCancelCause(ctx)
	w := &opened{cancel: cancel, began: time.Now(), lifetime: time.Duration(seconds) * time.Second}
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

// read processes events until the watch ends, and returns the resourceVersion from which
// it may be resumed, or an error if it may not.
func (s *stream) read(ctx context.Context, w *opened, at string) (string, error) {
	// A server that does not end the watch in time may have forgotten it.
	overdue := time.NewTimer(w.lifetime + settled)
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
				err = errBehind // a consistent list shows whether the cluster is, too
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

// objectOf returns the object of an event, or the error that it brings. It delays events
// that are more frequent than in any honest cluster.
func (s *stream) objectOf(ctx context.Context, w *opened, event watch.Event) (*unstructured.Unstructured, error) {
	if err := s.load.pace(ctx); err != nil {
		return nil, err
	}
	if event.Type == watch.Error {
		if m := w.caught.Load(); m != nil {
			return nil, m // the client's error is less precise
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

// isExpired reports whether the server no longer has the requested history.
func isExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}

// isBroken reports whether an error is client-go's for a connection that breaks under a
// watch.
func isBroken(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseType("ClientWatchDecoding"))
}
