package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A following follows a process through one attempt.
type following struct {
	*rendering

	process  *process
	fresh    bool          // the process has rendered nothing before
	from     time.Duration // processor time of the process before the attempt
	seen     time.Duration // processor time at the last check
	finished bool          // it completed the rendering, or stopped when told to
	next     int           // index of the next cluster
	answered time.Duration // time spent answering its questions
	outcome  outcome       // complete after follow returned without an error

	writing sync.Mutex // held while writing to the process

	mu    sync.Mutex // protects what follows
	under []underWay // work in progress, the outermost first
	heard underWay   // when the process last sent something; has no work
	over  bool       // the attempt was abandoned
}

// underWay is work in progress, with the times of its beginning.
type underWay struct {
	work

	processor time.Duration
	at        time.Time
}

const (
	// stopTimeout is how long a process that is told to stop may continue the work
	// in progress. Starting another process costs more than that.
	stopTimeout = 300 * time.Millisecond
	// patience is how many times its limit a piece of work may take by the clock: the
	// machine may be busy or a disk slow.
	patience = 20
)

// watch waits for the end of the attempt. It abandons the attempt when work
// takes too long or ctx ends.
func (f *following) watch(ctx context.Context, ended <-chan error) error {
	tick := time.NewTicker(f.o.Time / 100)
	defer tick.Stop()
	defer func() { f.spent += max(0, f.seen-f.from) }()
	stopping := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case err := <-ended:
			f.finished = err == nil
			if err != nil {
				return f.died(err)
			}
			return ctx.Err()
		case <-tick.C:
			if err := f.exhausted(); err != nil {
				f.giveUp()
				return err
			}
			if d := f.overdue(); d != nil {
				f.giveUp()
				return d
			}
			if t := f.tardy(); t != nil && !f.overtake(ctx, t.app) {
				f.giveUp()
				return t
			}
		case <-stopping:
			stopping = nil
			f.giveUp()
			late = time.After(stopTimeout)
			if f.beside || f.overtaken.isDone() {
				late = time.After(stopAtOnce)
			}
			go func() { _ = f.tell(toProcess{Stop: true}) }() // a process that does not read it is killed
		case <-late:
			f.interrupted()
			return ctx.Err()
		}
	}
}

// giveUp abandons the attempt, so that ready gets nothing more from the
// process.
func (f *following) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
}

// total is the time limit for a whole revision, as a multiple of the limit for one
// piece of work. The process itself enforces it: it begins no more work then, and what
// it has built is used.
const total = 20

// exhausted returns an error if the process has exceeded the revision's time by
// more than the last piece of work.
func (f *following) exhausted() error {
	f.seen = f.processor()
	if f.spent+f.seen-f.from > (total+2)*f.o.Time {
		return fmt.Errorf("rendering takes longer than %s of processor time in total, so nothing of the revision is used; use fewer or smaller apps and overlays", total*f.o.Time)
	}
	return nil
}

// processor returns the processor time of the process.
func (f *following) processor() time.Duration { return processorTime(f.process.pid, f.process.started) }

// overdue returns the reason to kill the process; nil if it may continue.
func (f *following) overdue() *death {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, processor := time.Now(), f.processor()
	for _, u := range f.under {
		limit := tooLong(f.time(), len(f.ended))
		if processor-u.processor <= f.time() {
			if now.Sub(u.at) <= patience*f.o.Time {
				continue
			}
			limit = refusal{Reason: fmt.Sprintf("the build makes no progress for %s", patience*f.o.Time), Remedy: remedy}
		}
		return &death{guilty: &u.work, refusal: &limit, fresh: f.fresh, err: errors.New("it was killed")}
	}
	silence := now.Sub(f.heard.at)
	switch {
	case len(f.under) > 0:
	case processor-f.heard.processor > f.o.Time && silence > f.o.Time:
		return &death{fresh: f.fresh, err: fmt.Errorf("it sends nothing for %s of processor time", f.o.Time)}
	case silence > patience*f.o.Time:
		return &death{fresh: f.fresh, err: fmt.Errorf("it sends nothing for %s", patience*f.o.Time)}
	}
	return nil
}

// died returns the reason why a process ended by itself or broke the protocol.
func (f *following) died(err error) *death {
	f.process.end()
	f.mu.Lock()
	defer f.mu.Unlock()
	d := &death{fresh: f.fresh, err: fmt.Errorf("%w (%s)", err, f.process.last.text())}
	if len(f.under) > 0 {
		d.guilty = &f.under[len(f.under)-1].work
	}
	if f.process.outOfMemory() && f.fresh {
		limit := tooMuch(f.o.Memory)
		d.refusal = &limit
	}
	return d
}

// tell sends a message to the process.
func (f *following) tell(m toProcess, behind ...[]byte) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	return writeFrame(f.process.in, m, behind...)
}

// follow sends the request, answers the process's questions and receives its results
// until the end.
func (f *following) follow(r *request) error {
	f.hear()
	if err := f.tell(toProcess{Render: r}); err != nil {
		return err
	}
	for {
		var m fromProcess
		if err := readFrame(f.process.out, &m, maxFromProcess); err != nil {
			return err
		}
		if m.End != nil {
			return f.end(*m.End)
		}
		if err := f.take(m); err != nil {
			return err
		}
	}
}

// take handles a message from the process, other than the end.
func (f *following) take(m fromProcess) error {
	f.hear()
	switch {
	case m.Ask != nil:
		return f.answer(*m.Ask)
	case m.Begin != nil:
		return f.began(*m.Begin)
	case m.Ended:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.under = f.under[:max(0, len(f.under)-1)]
		return nil
	case len(m.Objects) > 0:
		return f.process.store.add(m.Objects, f.process.out)
	case m.List != nil:
		return f.process.store.put(*m.List)
	case m.Failure != nil:
		return f.process.store.fail(*m.Failure)
	case m.Given != nil:
		return f.cluster(*m.Given)
	case len(m.Findings) > 0:
		return f.find(m.Findings)
	}
	return errors.New("the process sent a message without content")
}

// answer answers a question. Their total time is limited: questions cost the
// process next to nothing, and the parent the work.
func (f *following) answer(q question) error {
	begun := time.Now()
	a, content := answerTo(f.snapshot.Files, q)
	if f.answered += time.Since(begun); f.answered > total*f.o.Time {
		return fmt.Errorf("the process asks more questions than can be answered in %s", total*f.o.Time)
	}
	return f.tell(toProcess{Answer: &a}, content)
}

// maxFindings is how many findings a process may send. The renderer returns
// fewer.
const maxFindings = 3 * limit.Gathered

// find receives findings.
func (f *following) find(found []federation.Finding) error {
	if len(f.outcome.findings)+len(found) > maxFindings {
		return fmt.Errorf("the process sent more than %d findings", maxFindings)
	}
	for _, one := range found {
		f.outcome.findings = append(f.outcome.findings, short(one))
	}
	return nil
}

// hear records that the process is alive.
func (f *following) hear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = f.since(work{})
}

func (f *following) since(w work) underWay {
	return underWay{work: w, at: time.Now(), processor: f.processor()}
}

// maxNested bounds the nesting of work: the renderer allows kustomizations to
// nest less deeply.
const maxNested = 1000

// maxWork bounds the folder and the key of work, in bytes; a key has a folder and a
// digest.
const maxWork = 3 * limit.PathBytes

func (f *following) began(w work) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.under) >= maxNested {
		return errors.New("the process begins too much nested work")
	}
	if len(w.Dir)+len(w.Key) > maxWork {
		return errors.New("the process begins work whose name is too long")
	}
	f.under = append(f.under, f.since(w))
	return nil
}

// cluster receives the bundles of the next cluster. It does not pass on those
// that an earlier attempt has passed on.
func (f *following) cluster(g given) error {
	if g.Cluster != f.next || f.next >= len(f.federation.Clusters) {
		return errors.New("the process sent a cluster out of order")
	}
	c := f.federation.Clusters[f.next]
	f.next++
	bundles, err := f.bundles(c, g.Bundles)
	if err != nil {
		return err
	}
	f.outcome.bundles = append(f.outcome.bundles, bundles...)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.over && f.next > f.given { // after giveUp, given belongs to the next attempt
		f.given = f.next
		if f.ready != nil {
			f.ready(c, bundles)
		}
	}
	return nil
}

// bundles checks the bundles sent for a cluster against its apps.
func (f *following) bundles(c federation.Cluster, given []bundle) ([]federation.Bundle, error) {
	all := make([]federation.Bundle, 0, len(given))
	at := 0
	for i, a := range f.federation.Apps {
		if !a.Selector.Matches(c) {
			continue
		}
		if at >= len(given) || given[at].App != i {
			return nil, fmt.Errorf("the process sent no app %s for cluster %s", a.Name, c.Name)
		}
		b := federation.Bundle{Cluster: c.Name, App: a.Name}
		var err error
		if id := given[at].Error; id != 0 {
			b.Err, err = f.process.store.failure(id)
		} else {
			b.Objects, err = f.process.store.get(given[at].List)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, b)
		at++
	}
	if at != len(given) {
		return nil, fmt.Errorf("the process sent cluster %s apps that it does not have", c.Name)
	}
	return all, nil
}

// end handles the end of a rendering.
func (f *following) end(e end) error {
	if !e.Stopped && f.next != len(f.federation.Clusters) {
		return errors.New("the process ended before it sent every cluster")
	}
	return nil
}
