package bounds

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/fedsync/fedsync/pkg/failure"
)

// largeFrom is how many bytes of a body, or of one event of a watch, are read without
// waiting; longFrom is the same for a refusal. Larger ones are read one at a time per
// cluster, so that the memory for them is not a multiple of the requests in progress.
const (
	largeFrom = 1 << 20
	longFrom  = 64 << 10
)

// body is the body of an answer, with its request.
type body struct {
	io.ReadCloser
	guard *Guard
	req   *http.Request

	has      count
	err      error // returned by all later reads; nil for none
	turn     *turn
	returned time.Time // when the last read returned; zero before
	handed   int       // bytes that it returned
}

func (g *Guard) body(req *http.Request, resp *http.Response) *body {
	return &body{ReadCloser: resp.Body, guard: g, req: req, turn: newTurn(g.large)}
}

// read reads no more than is needed to exceed most. After the first without bytes it
// waits for its turn. It pauses if the cluster uses too much time.
func (b *body) read(p []byte, most limit, without int) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if err := b.pause(); err != nil {
		return 0, err
	}
	if b.has.bytes > without {
		if err := b.turn.take(b.req.Context()); err != nil {
			return 0, err
		}
	}
	if left := most.bytes + 1 - b.has.bytes; len(p) > left {
		p = p[:left]
	}
	n, err := b.Read(p)
	b.returned, b.handed = time.Now(), n
	return n, err
}

// pause waits if the previous reads took more than the cluster's share of time. It fails
// when the request's context ends or the body is closed.
func (b *body) pause() error {
	if b.returned.IsZero() {
		return nil
	}
	now := time.Now()
	busy := min(now.Sub(b.returned), time.Duration(b.handed)*byteWork)
	return wait(b.req.Context(), b.guard.pace.work(busy, now), b.turn.over)
}

// fail ends the body with an error.
func (b *body) fail(m *failure.Misbehaviour) error {
	_ = b.Close()
	b.err = b.guard.caught(b.req, m)
	return b.err
}

// decoding is how long a large body retains its turn after it was closed, unless its
// request's context ends before. By then its content has been decoded.
const decoding = time.Second

// whole is a body with one value.
type whole struct {
	*body
	most limit
}

// Read implements io.Reader.
func (w *whole) Read(p []byte) (int, error) {
	n, err := w.read(p, w.most, largeFrom)
	w.has.add(p[:n], false)
	if w.has.exceeds(w.most) {
		return n, w.fail(w.guard.tooLarge(w.req, w.most, w.has))
	}
	return n, err
}

// Close implements io.Closer.
func (w *whole) Close() error {
	w.turn.end(decoding)
	return w.ReadCloser.Close()
}

// events is the body of a watch: a series of values, each of which is bounded.
type events struct {
	*body

	stop func() bool // stops the cleanup for a watch that is never closed

	mu      sync.Mutex // protects what follows
	longest int64      // bytes of its longest event, as counted by the guard
	ended   bool
}

func (g *Guard) events(req *http.Request, resp *http.Response) *events {
	e := &events{body: g.body(req, resp)}
	e.stop = context.AfterFunc(req.Context(), e.release)
	return e
}

// Read implements io.Reader.
func (e *events) Read(p []byte) (int, error) {
	if e.has.bytes <= largeFrom { // the previous large event has been decoded, or this would not be called
		e.turn.leave()
	}
	n, err := e.read(p, objectLimit, largeFrom)
	long := e.has.bytes + n
	e.has.add(p[:n], true)
	switch {
	case e.has.exceeds(objectLimit):
		return n, e.fail(failure.Misbehaves("sends an event of more than %s on the watch %s",
			objectLimit.figure(e.has), e.guard.name(e.req)))
	case long > longFrom && e.hold(int64(long)) > WatchBytes:
		return n, e.fail(failure.Misbehaves("sends large events on all watches, of more than %s together (at last %s)",
			size(WatchBytes), e.guard.name(e.req)))
	}
	return n, err
}

// hold counts the length of an event, and returns the total of the longest events of
// all watches.
func (e *events) hold(long int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || long <= e.longest {
		return 0
	}
	more := long - e.longest
	e.longest = long
	return e.guard.longest.Add(more)
}

// release removes the watch from the total.
func (e *events) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		e.ended = true
		e.guard.longest.Add(-e.longest)
	}
}

// Close implements io.Closer.
func (e *events) Close() error {
	e.stop()
	e.release()
	e.turn.end(0)
	return e.ReadCloser.Close()
}

// refusal is the body of an answer that reports a failure. The end of a long body
// is cut off.
type refusal struct{ *body }

// Read implements io.Reader.
func (r *refusal) Read(p []byte) (int, error) {
	n, err := r.read(p[:min(len(p), longFrom)], limit{bytes: RefusalBytes}, longFrom)
	r.has.bytes += n
	return n, err
}

// Close implements io.Closer.
func (r *refusal) Close() error {
	r.turn.end(0)
	return r.ReadCloser.Close()
}
