package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// maxEditions is how many bytes of answers are held for their readers: about a
	// hundred pages of a typical federation, or several of the largest.
	maxEditions = 64 << 20
	// maxWait is how long a client waits for its answer to be made. On an idle machine,
	// every answer takes less.
	maxWait = 10 * time.Second
	// minRest is the least time that the press rests for: an answer made in less costs
	// no more than other requests do.
	minRest = 5 * time.Millisecond
)

var (
	errBusy = errors.New("too many requests: try again later")
	errGone = errors.New("the client has gone away")
)

// A press makes the answers that take work: pages, reports and metrics. However many
// clients ask for however many answers, it makes one at a time, and one for all who
// wait for the same answer. They share its bytes. So a client costs the bytes written to
// it, and no memory.
//
// Nobody gets an answer that was begun before they asked, unless it never changes.
//
// A slow reader keeps its answer in memory. Beyond maxEditions, the answers that were
// asked for the longest ago are dropped anyway and their readers' connections are
// closed, so that slow readers lock out only each other.
type press struct {
	turn  chan struct{}   // capacity 1: whoever has sent to it makes an edition
	limit int             // maxEditions
	weigh func(bytes int) // called with the number of bytes held

	mu       sync.Mutex // protects what follows, and the editions' readers
	begun    int        // how many editions were begun
	waiting  map[any]int
	editions []*edition // those held: read, waited for or kept; the last asked for is last
	bytes    int        // of all editions
	kept     *edition   // held without a reader; nil before the first
}

// order is what a client asks a press for.
type order struct {
	// key is comparable, and equal for the same answer.
	key any
	// lasting means that the answer never changes.
	lasting bool
	// keep means that the answer is asked for again and again.
	keep bool
	make func() ([]byte, error)
}

// edition is an answer that was made.
type edition struct {
	order

	number  int // in the order in which they were begun
	body    []byte
	etag    string // only if lasting
	readers map[*reader]bool
}

// reader is a client with an edition.
type reader struct {
	edition *edition
	control *http.ResponseController
}

func newPress(weigh func(bytes int)) *press {
	return &press{
		turn: make(chan struct{}, 1), limit: maxEditions, weigh: weigh,
		waiting: map[any]int{},
	}
}

// read returns a reader with an edition, which the caller hands back with leave. It
// passes on an error or a panic of make.
func (p *press) read(ctx context.Context, o order, control *http.ResponseController) (*reader, error) {
	r := &reader{control: control}
	asked, ok := p.ask(o, r)
	if ok {
		return r, nil
	}
	defer p.stopWaiting(o.key)
	patience := time.NewTimer(maxWait)
	defer patience.Stop()
	select {
	case p.turn <- struct{}{}:
		defer p.rest(time.Now())
	case <-ctx.Done():
		return nil, errGone
	case <-patience.C:
		return nil, errBusy
	}
	number, ok := p.begin(o, r, asked)
	if ok {
		return r, nil
	}
	body, err := o.make()
	if err != nil {
		return nil, err
	}
	e := &edition{order: o, number: number, body: body, readers: map[*reader]bool{}}
	if o.lasting {
		e.etag = etag(body)
	}
	p.publish(e, r)
	return r, nil
}

// rest gives the turn back after as much time as it was held. So the loop and the health
// endpoints have at least half of a processor, whatever a crowd asks for.
func (p *press) rest(since time.Time) {
	if took := time.Since(since); took > minRest {
		time.AfterFunc(took, func() { <-p.turn })
		return
	}
	<-p.turn
}

// ask gives r a lasting edition, or counts it as waiting and returns how many editions
// were begun before.
func (p *press) ask(o order, r *reader) (asked int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hand(o.key, r, p.begun) {
		return 0, true
	}
	p.waiting[o.key]++
	return p.begun, false
}

// begin gives r an edition that was begun after it asked, or begins one.
func (p *press) begin(o order, r *reader, asked int) (number int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hand(o.key, r, asked) {
		return 0, true
	}
	p.begun++
	return p.begun, false
}

// hand gives r the newest edition if that is lasting or its number is larger than than.
// p.mu is held.
func (p *press) hand(key any, r *reader, than int) bool {
	for i, e := range slices.Backward(p.editions) {
		if e.key == key && (e.lasting || e.number > than) {
			p.editions = append(slices.Delete(p.editions, i, i+1), e)
			e.readers[r], r.edition = true, e
			return true
		}
	}
	return false
}

// publish adds an edition and makes room for it.
func (p *press) publish(e *edition, r *reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.readers[r], r.edition = true, e
	p.editions = append(p.editions, e)
	p.bytes += cap(e.body)
	if e.keep {
		p.kept = e
	}
	for p.bytes > p.limit && len(p.editions) > 1 {
		p.drop(0)
	}
	p.tidy()
}

// leave hands back the edition of a reader that has ended.
func (p *press) leave(r *reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(r.edition.readers, r)
	p.tidy()
}

func (p *press) stopWaiting(key any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting[key]--; p.waiting[key] == 0 {
		delete(p.waiting, key)
	}
	p.tidy()
}

// tidy drops the editions that nobody needs. p.mu is held.
func (p *press) tidy() {
	for i, e := range slices.Backward(p.editions) {
		if e != p.kept && len(e.readers) == 0 && p.waiting[e.key] == 0 {
			p.drop(i)
		}
	}
	p.weigh(p.bytes)
}

// drop forgets an edition and ends its readers. p.mu is held. A reader has not handed
// the edition back, so the deadline applies to this answer and not to the next one on
// the connection.
func (p *press) drop(i int) {
	e := p.editions[i]
	p.editions = slices.Delete(p.editions, i, i+1)
	p.bytes -= cap(e.body)
	if p.kept == e {
		p.kept = nil
	}
	for r := range e.readers {
		// Only a recorder in a test has no deadline, and it does not read slowly.
		_ = r.control.SetWriteDeadline(time.Unix(1, 0))
	}
}
