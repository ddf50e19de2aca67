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

// A following listens to a process in one attempt.
type following struct {
	*rendering

	process  *process
	fresh    bool          // the process has rendered nothing else
	from     time.Duration // processor time that the process had had before
	seen     time.Duration // and when it was looked at last
	finished bool          // it came to the end, also when it was told to stop
	next     int           // the cluster that comes next
	answered time.Duration // what its questions took
	outcome  outcome       // complete when follow has returned without an error

	writing sync.Mutex // held while the process is told something

	mu    sync.Mutex // protects what follows
	under []underWay // work that was begun, the outermost first
	heard underWay   // without work: when the process said something last
	over  bool       // the attempt was given up
}

// underWay is work, and what the clocks were when it was begun.
type underWay struct {
	work

	processor time.Duration
	at        time.Time
}

const (
	// stopTimeout is how long a process that is told to stop may go on with the work
	// under way. Another process costs more than that.
	stopTimeout = 300 * time.Millisecond
	// patience is how many times its time a piece of work may take without a processor:
	// the machine may be busy, a disk slow.
	patience = 20
)

// watch waits for the end, keeps the time of what is under way, and gives the
// attempt up when that takes too long or ctx ends.
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
			go func() { _ = f.tell(toProcess{Stop: true}) }() // who does not listen is ended
		case <-late:
			f.interrupted()
			return ctx.Err()
		}
	}
}

// giveUp keeps what the process still says from whoever takes the clusters.
func (f *following) giveUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
}

// total is how many times the time of one piece of work all of a revision may take.
// The process keeps to it: it begins nothing more then, and what it has built is used.
const total = 20

// exhausted returns an error when the process has not kept to the revision's time,
// with the last piece of work.
func (f *following) exhausted() error {
	f.seen = f.processor()
	if f.spent+f.seen-f.from > (total+2)*f.o.Time {
		return fmt.Errorf("rendering takes longer than %s of processor time in all, so nothing of the revision is used: fewer and smaller apps and overlays take less", total*f.o.Time)
	}
	return nil
}

// processor returns the time that the process has had a processor.
func (f *following) processor() time.Duration { return processorTime(f.process.pid, f.process.started) }

// overdue returns the death that the process is to die for what it does; nil where
// it may go on.
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
			limit = refusal{Reason: fmt.Sprintf("the build stands still for %s", patience*f.o.Time), Remedy: remedy}
		}
		return &death{guilty: &u.work, refusal: &limit, fresh: f.fresh, err: errors.New("it was ended")}
	}
	silence := now.Sub(f.heard.at)
	switch {
	case len(f.under) > 0:
	case processor-f.heard.processor > f.o.Time && silence > f.o.Time:
		return &death{fresh: f.fresh, err: fmt.Errorf("it says nothing for %s of processor time", f.o.Time)}
	case silence > patience*f.o.Time:
		return &death{fresh: f.fresh, err: fmt.Errorf("it says nothing for %s", patience*f.o.Time)}
	}
	return nil
}

// died says why a process ended by itself, or says what makes no sense.
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

// tell tells the process something.
func (f *following) tell(m toProcess, behind ...[]byte) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	return writeFrame(f.process.in, m, behind...)
}

// follow has the request rendered: it answers the process's questions and takes what
// it gives, to the end.
func (f *following) follow(r *request) error {
	f.hear()
	if err := f.tell(toProcess{Render: r}); err != nil {
		return err
	}
	for {
		var m fromProcess
		if err := readFrame(f.process.out, &m, maxSaid); err != nil {
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

// take takes what a process says before its end.
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
	return errors.New("the process says nothing that has a meaning")
}

// answer answers a question. Whoever asks without end is told no more: it costs the
// process next to nothing, and us the work.
func (f *following) answer(q question) error {
	begun := time.Now()
	a, content := answerTo(f.snapshot.Files, q)
	if f.answered += time.Since(begun); f.answered > total*f.o.Time {
		return fmt.Errorf("the process asks for more than can be answered in %s", total*f.o.Time)
	}
	return f.tell(toProcess{Answer: &a}, content)
}

// maxFindings is how many a process may give. The renderer gives fewer.
const maxFindings = 3 * limit.Gathered

// find takes findings.
func (f *following) find(found []federation.Finding) error {
	if len(f.outcome.findings)+len(found) > maxFindings {
		return fmt.Errorf("the process gives more than %d findings", maxFindings)
	}
	for _, one := range found {
		f.outcome.findings = append(f.outcome.findings, short(one))
	}
	return nil
}

// hear notes that the process lives.
func (f *following) hear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = f.since(work{})
}

func (f *following) since(w work) underWay {
	return underWay{work: w, at: time.Now(), processor: f.processor()}
}

// maxNested bounds how much work may be within other work: kustomizations nest no
// deeper than the renderer lets them.
const maxNested = 1000

// maxWork bounds what work is called: a folder, and a key with a folder and a digest.
const maxWork = 3 * limit.PathBytes

func (f *following) began(w work) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.under) >= maxNested {
		return errors.New("the process begins work without end")
	}
	if len(w.Dir)+len(w.Key) > maxWork {
		return errors.New("the process begins work whose name has no end")
	}
	f.under = append(f.under, f.since(w))
	return nil
}

// cluster takes the bundles of the next cluster. Those that an attempt before has
// given already are only taken again.
func (f *following) cluster(g given) error {
	if g.Cluster != f.next || f.next >= len(f.federation.Clusters) {
		return errors.New("the process gives a cluster out of turn")
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
	if !f.over && f.next > f.given { // once it is over, given is the next attempt's
		f.given = f.next
		if f.ready != nil {
			f.ready(c, bundles)
		}
	}
	return nil
}

// bundles holds what is given for a cluster to the apps that it has.
func (f *following) bundles(c federation.Cluster, given []bundle) ([]federation.Bundle, error) {
	all := make([]federation.Bundle, 0, len(given))
	at := 0
	for i, a := range f.federation.Apps {
		if !a.Selector.Matches(c) {
			continue
		}
		if at >= len(given) || given[at].App != i {
			return nil, fmt.Errorf("the process does not give app %s in cluster %s", a.Name, c.Name)
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
		return nil, fmt.Errorf("the process gives cluster %s apps that it does not have", c.Name)
	}
	return all, nil
}

// end takes the end of a rendering.
func (f *following) end(e end) error {
	if !e.Stopped && f.next != len(f.federation.Clusters) {
		return errors.New("the process ends before it has given every cluster")
	}
	return nil
}
