package objectstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// bookmarkEvery is how often a watch with bookmarks gets one.
	bookmarkEvery = time.Minute
	// watchTimeout is how long a watch lasts that requests no timeout.
	watchTimeout = 30 * time.Minute
)

// change is one step of a store's history. before is nil for a creation, after for a
// deletion.
type change struct {
	resource      schema.GroupResource
	version       uint64
	before, after *entry
}

// stream is a watch: the body of its answer. Events are buffered for the reader, which is
// the only one that waits.
type stream struct {
	store     *Store
	kind      *kind
	selects   func(*entry) bool
	from      uint64 // changes up to this version are not sent
	bookmarks bool
	ctx       context.Context //nolint:containedctx // a body is read until its request ends
	ends      time.Time
	mark      time.Time     // when the next bookmark is due
	wake      chan struct{} // has room for one wake-up, which suffices for all events

	// The store's lock protects what follows.
	pending []byte
	err     error // after what is pending
}

func (s *Store) serveWatch(r *Request) (*http.Response, error) {
	from, err := r.version()
	if err != nil {
		return failed(err), nil
	}
	initial := r.query.Get("sendInitialEvents") == "true"
	var stale error
	if initial {
		stale = s.waitFresh(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kindAt(r.Resource)
	if k == nil {
		return failed(errNoSuchPath), nil
	}
	selects, err := r.selection(k)
	if err != nil {
		return failed(err), nil
	}
	timeout := watchTimeout
	if seconds, err := strconv.Atoi(r.query.Get("timeoutSeconds")); err == nil && seconds > 0 {
		timeout = time.Duration(seconds) * time.Second
	}
	w := &stream{
		store: s, kind: k, selects: selects, from: from, ctx: r.HTTP.Context(),
		bookmarks: r.query.Get("allowWatchBookmarks") == "true",
		ends:      time.Now().Add(timeout), mark: time.Now().Add(bookmarkEvery),
		wake: make(chan struct{}, 1),
	}
	switch {
	case stale != nil:
		w.fail(stale)
	case initial || from == 0:
		w.from = s.version
		for _, e := range s.all(k.groupResource()) {
			if selects(e) {
				w.write(watch.Added, e.at(k))
			}
		}
		if initial && w.bookmarks {
			w.bookmark(s.version, true)
		}
	case from < s.oldest:
		w.fail(apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", from, s.oldest)))
	default:
		for _, c := range s.history {
			w.add(c)
		}
	}
	if w.err == nil {
		s.watches[w] = struct{}{}
	}
	answer := answered(http.StatusOK, "application/json", nil)
	answer.Body, answer.ContentLength = w, -1
	return answer, nil
}

// add buffers the event of a change for the watch.
func (w *stream) add(c change) {
	if c.resource != w.kind.groupResource() || c.version <= w.from {
		return
	}
	was := c.before != nil && w.selects(c.before)
	is := c.after != nil && w.selects(c.after)
	switch {
	case was && is:
		w.write(watch.Modified, c.after.at(w.kind))
	case is:
		w.write(watch.Added, c.after.at(w.kind))
	case was:
		w.write(watch.Deleted, lastSeen(w.kind, c))
	}
}

// lastSeen returns the object of a deletion: the last state, with the deletion's version.
func lastSeen(k *kind, c change) []byte {
	o := inVersion(c.before.object, k.gvk).DeepCopyObject()
	m, err := meta.Accessor(o)
	if err != nil {
		panic(err) // it was stored
	}
	m.SetResourceVersion(strconv.FormatUint(c.version, 10))
	b, err := json.Marshal(o)
	if err != nil {
		panic(err) // it was stored
	}
	return b
}

func (w *stream) write(t watch.EventType, object []byte) {
	w.pending = append(w.pending, fmt.Sprintf(`{"type":%q,"object":`, t)...)
	w.pending = append(w.pending, bytes.TrimSpace(object)...)
	w.pending = append(w.pending, "}\n"...)
	w.ring()
}

func (w *stream) bookmark(version uint64, initial bool) {
	annotations := ""
	if initial {
		annotations = fmt.Sprintf(`,"annotations":{%q:"true"}`, metav1.InitialEventsAnnotationKey)
	}
	w.write(watch.Bookmark, fmt.Appendf(nil, `{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"%d"%s}}`,
		w.kind.gvk.Kind, w.kind.gvk.GroupVersion().String(), version, annotations))
}

// fail ends the watch with an event, as the API server does after it has accepted the
// request.
func (w *stream) fail(err error) {
	status := statusOf(err)
	status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
	status.Status = metav1.StatusFailure
	b, encodeErr := json.Marshal(status)
	if encodeErr != nil {
		panic(encodeErr) // a Status is always JSON
	}
	w.write(watch.Error, b)
	w.err = io.EOF
}

func (w *stream) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Read implements io.Reader. It waits for the next event, the next bookmark or the end.
func (w *stream) Read(p []byte) (int, error) {
	for {
		n, until, err := w.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		timer := time.NewTimer(time.Until(until))
		select {
		case <-w.ctx.Done():
			timer.Stop()
			return 0, context.Cause(w.ctx)
		case <-w.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take returns pending data, or else until when to wait.
func (w *stream) take(p []byte) (int, time.Time, error) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	now := time.Now()
	if w.ctx.Err() != nil {
		return 0, now, context.Cause(w.ctx)
	}
	if w.store.faults.outage == OutageHang {
		return 0, now.Add(time.Hour), nil // packets are lost, in both directions
	}
	if w.bookmarks && !now.Before(w.mark) {
		w.mark = now.Add(bookmarkEvery)
		w.bookmark(w.store.version, false)
	}
	if len(w.pending) > 0 {
		n := copy(p, w.pending)
		w.pending = w.pending[n:]
		return n, now, nil
	}
	if w.err != nil {
		return 0, now, w.err
	}
	if !now.Before(w.ends) {
		return 0, now, io.EOF
	}
	if w.bookmarks && w.mark.Before(w.ends) {
		return 0, w.mark, nil
	}
	return 0, w.ends, nil
}

// Close implements io.Closer.
func (w *stream) Close() error {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	delete(w.store.watches, w)
	return nil
}

// endWatches ends all open watches.
func (s *Store) endWatches(err error) {
	for w := range s.watches {
		w.err = err
		delete(s.watches, w)
		w.ring()
	}
}

// endWatchesOf regularly ends the watches of a kind that is no longer served.
func (s *Store) endWatchesOf(gr schema.GroupResource) {
	for w := range s.watches {
		if w.kind.groupResource() == gr {
			w.err = io.EOF
			delete(s.watches, w)
			w.ring()
		}
	}
}
