package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
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
	began  time.Time     // when it was asked for
	last   time.Duration // how long it was asked to stand
}

// isOver reports whether the watch has stood for as long as it was asked to.
func (o *opened) isOver() bool { return time.Since(o.began) >= o.last }

func (o *opened) stop() {
	o.Stop()
	o.cancel(nil)
}

// list returns what there is, and the watch of what follows.
//
// Lists are the truth about what was there when they were asked for. So both ways
// ask for the most recent state, as a quorum of etcd has it, and never for what
// one API server's cache happens to hold.
func (s *stream) list(ctx context.Context, paced bool) (list, *opened, error) {
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
		return list{}, nil, err
	}
	w, err := s.watchFrom(ctx, openTimeout, metav1.ListOptions{ResourceVersion: l.resourceVersion, AllowWatchBookmarks: true})
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
func (s *stream) streamList(ctx context.Context) (list, *opened, error) {
	l := list{asked: time.Now()}
	sendInitialEvents := true
	w, err := s.watchFrom(ctx, openTimeout, metav1.ListOptions{
		SendInitialEvents:    &sendInitialEvents,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
		AllowWatchBookmarks:  true,
	})
	if err != nil {
		return list{}, nil, err
	}
	if err = l.collect(ctx, w); err != nil {
		w.stop()
		return list{}, nil, err
	}
	return l, w, nil
}

// collect reads the list that a watch begins with.
func (l *list) collect(ctx context.Context, w *opened) error {
	index := map[types.NamespacedName]int{}
	gone := map[int]bool{}
	silence := time.NewTimer(openTimeout)
	defer silence.Stop()
	for {
		var event watch.Event
		var ok bool
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-silence.C:
			return errUnmarked
		case event, ok = <-w.ResultChan():
		}
		if !ok {
			return errEnded
		}
		u, err := objectOf(event)
		if err != nil {
			return err
		}
		key := keyOf(u)
		i, known := index[key]
		switch event.Type {
		case watch.Added, watch.Modified:
			silence.Reset(openTimeout)
			if known {
				l.objects[i] = u
				delete(gone, i)
				continue
			}
			index[key] = len(l.objects)
			l.objects = append(l.objects, u)
		case watch.Deleted:
			if known {
				gone[i] = true
			}
		case watch.Bookmark:
			if u.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
				l.resourceVersion = u.GetResourceVersion()
				l.leaveOut(gone)
				return nil
			}
		case watch.Error:
		}
	}
}

func (l *list) leaveOut(gone map[int]bool) {
	if len(gone) == 0 {
		return
	}
	var rest []*unstructured.Unstructured
	for i, u := range l.objects {
		if !gone[i] {
			rest = append(rest, u)
		}
	}
	l.objects = rest
}

// pages lists page by page, as one state of the cluster.
func (s *stream) pages(ctx context.Context) (list, error) {
	l := list{asked: time.Now()}
	o := metav1.ListOptions{Limit: pageSize}
	seen := map[types.NamespacedName]bool{}
	for {
		page, err := s.page(ctx, o)
		if apierrors.IsResourceExpired(err) && o.Continue != "" {
			// It took so long that the rest of that state is gone: all at once then.
			l, o = list{asked: time.Now()}, metav1.ListOptions{}
			clear(seen)
			continue
		}
		if err != nil {
			return list{}, err
		}
		for i := range page.Items {
			seen[keyOf(&page.Items[i])] = true
			l.objects = append(l.objects, &page.Items[i])
		}
		l.resourceVersion = page.GetResourceVersion()
		o.Continue = page.GetContinue()
		if o.Continue == "" {
			return l, nil
		}
		if len(page.Items) == 0 || len(seen) != len(l.objects) {
			return list{}, errors.New("the list has no end")
		}
	}
}

func (s *stream) page(ctx context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	s.ask()
	timed, cancel := context.WithTimeoutCause(ctx, 2*openTimeout,
		fmt.Errorf("no list within %v: %w", 2*openTimeout, context.DeadlineExceeded))
	defer cancel()
	o.LabelSelector, o.FieldSelector = s.watch.LabelSelector, s.watch.FieldSelector
	page, err := s.client.List(timed, o)
	if err != nil && timed.Err() != nil {
		err = context.Cause(timed)
	}
	return page, err
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
		if !ok {
			return at, nil
		}
		u, err := objectOf(event)
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

// objectOf returns what an event is about, or the error that it brings.
func objectOf(event watch.Event) (*unstructured.Unstructured, error) {
	if event.Type == watch.Error {
		return nil, apierrors.FromObject(event.Object)
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
