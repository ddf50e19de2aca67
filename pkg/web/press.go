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
	// maxEditions is how many bytes of answers are kept for those who read them. It is
	// a hundred pages of a usual federation, or several of the largest.
	maxEditions = 64 << 20
	// maxWait is how long a client waits for its answer to be made, and longer than
	// all that there are take on an idle machine.
	maxWait = 10 * time.Second
	// minRest is the least time that the press rests for: a smaller answer costs no
	// more than other requests do.
	minRest = 5 * time.Millisecond
)

var (
	errBusy = errors.New("too much is asked at a time")
	errGone = errors.New("who asked has gone away")
)

// A press makes the answers that take work: pages, reports and metrics. However many
// ask for however many of them, one is made at a time, one is made for all who waited
// for the same, and those who read them share the bytes. So a client costs what is
// written to it, and no memory.
//
// Nobody gets what was made before they asked, unless it never changes.
//
// Those who read slowly keep what they read from being dropped. Beyond maxEditions the
// ones that were asked for the longest ago are dropped all the same: their readers'
// connections are closed, so that slow readers keep out nobody but each other.
type press struct {
	turn  chan struct{}   // capacity 1: who has it in makes an edition
	limit int             // maxEditions
	weigh func(bytes int) // is told how many are kept

	mu       sync.Mutex // protects what follows, and the editions' readers
	begun    int        // how many editions were begun
	waiting  map[any]int
	editions []*edition // those that are read or waited for, and kept; the last asked for last
	bytes    int        // theirs
	kept     *edition   // it stays though nobody reads it; nil before the first
}

// order is what somebody asks a press for.
type order struct {
	// key is equal for what is the same answer; comparable.
	key any
	// lasting means that it comes out the same whenever it is made.
	lasting bool
	// keep means that it is asked for again and again.
	keep bool
	make func() ([]byte, error)
}

// edition is an answer that was made.
type edition struct {
	order

	number  int // of those begun
	body    []byte
	etag    string // only of what lasts
	readers map[*reader]bool
}

// reader is one who was given an edition.
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

// read gives one who asks an edition, which is to be handed back by leave. What make
// returns as an error, or panics with, it does as well.
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

// rest gives the turn back, once as much time has passed as it was held since then: the
// loop, and those who ask whether the daemon is alive, have half of a processor at
// least, whatever a crowd asks for.
func (p *press) rest(since time.Time) {
	if took := time.Since(since); took > minRest {
		time.AfterFunc(took, func() { <-p.turn })
		return
	}
	<-p.turn
}

// ask gives r an edition that lasts, or counts it among those who wait, and returns
// what had been begun until then.
func (p *press) ask(o order, r *reader) (asked int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hand(o.key, r, p.begun) {
		return 0, true
	}
	p.waiting[o.key]++
	return p.begun, false
}

// begin gives r an edition that was begun after it had asked, or begins one.
func (p *press) begin(o order, r *reader, asked int) (number int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hand(o.key, r, asked) {
		return 0, true
	}
	p.begun++
	return p.begun, false
}

// hand gives r the newest edition if that was begun later than another, or lasts;
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

// leave is for a reader that has ended.
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

// tidy drops what nobody has a use for; p.mu is held.
func (p *press) tidy() {
	for i, e := range slices.Backward(p.editions) {
		if e != p.kept && len(e.readers) == 0 && p.waiting[e.key] == 0 {
			p.drop(i)
		}
	}
	p.weigh(p.bytes)
}

// drop forgets an edition and ends its readers; p.mu is held. A reader has not handed
// it back, so the deadline is one of its answer and not of the connection's next.
func (p *press) drop(i int) {
	e := p.editions[i]
	p.editions = slices.Delete(p.editions, i, i+1)
	p.bytes -= cap(e.body)
	if p.kept == e {
		p.kept = nil
	}
	for r := range e.readers {
		// A recorder in a test has no deadline; it does not read slowly either.
		_ = r.control.SetWriteDeadline(time.Unix(1, 0))
	}
}
