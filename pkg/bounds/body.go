package bounds

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/fedsync/fedsync/pkg/failure"
)

// largeFrom is how much of a body, or of one event of a watch, is read without
// waiting; longFrom is how much of a refusal. Of what is larger, one at a time is read
// in a cluster: what a server may send at most is then no multiple of the requests that
// are under way.
const (
	largeFrom = 1 << 20
	longFrom  = 64 << 10
)

// body is the body of an answer, and who asked for it.
type body struct {
	io.ReadCloser
	guard *Guard
	req   *http.Request

	has      count
	err      error // of all later reads; nil while there is none
	turn     *turn
	returned time.Time // when what was read last was handed out; zero before
	handed   int       // bytes of it
}

func (g *Guard) body(req *http.Request, resp *http.Response) *body {
	return &body{ReadCloser: resp.Body, guard: g, req: req, turn: newTurn(g.large)}
}

// read reads no more than is needed to exceed most, and takes its turn after so much
// without. It pauses where the cluster keeps us busy.
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

// pause waits where what was read before made more work than a cluster's share. It fails
// when the request's context ends, or the body is closed.
func (b *body) pause() error {
	if b.returned.IsZero() {
		return nil
	}
	now := time.Now()
	busy := min(now.Sub(b.returned), time.Duration(b.handed)*byteWork)
	return wait(b.req.Context(), b.guard.pace.work(busy, now), b.turn.over)
}

// fail breaks the body off.
func (b *body) fail(m *failure.Misbehaviour) error {
	_ = b.Close()
	b.err = b.guard.caught(b.req, m)
	return b.err
}

// decoding is how long the turn of a large body lasts after it was closed, where its
// request's context does not end before. What was read is decoded by then.
const decoding = time.Second

// whole is a body that is one value.
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

// events is the body of a watch: one value after the other, each of which is bounded.
type events struct {
	*body

	stop func() bool // of what looks after a watch that nobody closes

	mu      sync.Mutex // protects what follows
	longest int64      // event, in the guard's account
	ended   bool
}

func (g *Guard) events(req *http.Request, resp *http.Response) *events {
	e := &events{body: g.body(req, resp)}
	e.stop = context.AfterFunc(req.Context(), e.release)
	return e
}

// Read implements io.Reader.
func (e *events) Read(p []byte) (int, error) {
	if e.has.bytes <= largeFrom { // the large event before was decoded, or this would not be called
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

// hold enters into the account how long an event is, and returns what there is of all
// watches.
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

// release takes the watch out of the account.
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

// refusal is the body of an answer that reports a failure. The end of a long one is
// left out.
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
