package post

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

const (
	saveWordsEvery = time.Second      // changes of only the words are saved no more often
	saveRetry      = 10 * time.Second // after a failure
	lookBackTime   = time.Minute      // limit for reading the commits before the newest
	lookBackMost   = 20               // commits before the newest
	lookBackKeys   = 100              // statuses of them
)

// keeping is the state of a Poster's outbox. The Poster's mutex protects it.
type keeping struct {
	outbox   outbox
	complete bool      // no status is missing that an earlier process saved
	unsaved  bool      // the outbox lacks something
	words    bool      // it lacks only changed words
	savedAt  time.Time // when it was last written
	retryAt  time.Time // no write before
	since    time.Time // since when it cannot be written
	err      error     // why; nil when it could
}

// load adds entries for what an earlier process saved. They rest until the newest
// revision is known: a wish of that time may be outdated.
func (p *Poster) load() {
	letters, err := p.keeping.outbox.read()
	p.keeping.complete = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Warn("queued statuses may be lost", zap.Error(err))
	}
	for _, l := range slices.Backward(letters) { // the most important has the highest sequence
		if p.options.Grants != nil && !p.options.Grants(l.Context) {
			continue
		}
		e := p.entry(l.SHA, l.Context)
		e.branch, e.resting, e.by, e.byTime, e.ifPending = true, true, l.By, l.ByTime, l.IfPending
		e.wantSince = earliest(l.Since, time.Now())
		if l.State != "" {
			e.want = status.Commit{SHA: l.SHA, Context: l.Context, State: l.State, Description: p.trim(l.Description), TargetURL: p.link(l.SHA)}
		}
	}
	p.keeping.unsaved = true
}

// save writes what a restart must not lose, before any of it is posted. A failure becomes
// a finding, and posting continues.
func (p *Poster) save(now time.Time) {
	p.mu.Lock()
	k := &p.keeping
	due := k.outbox.file != "" && !now.Before(k.retryAt) && (k.unsaved || k.words && now.Sub(k.savedAt) >= saveWordsEvery)
	if !due {
		p.mu.Unlock()
		return
	}
	c := content{Letters: p.letters(), Partial: !k.complete}
	k.unsaved, k.words = false, false
	p.mu.Unlock()

	err := k.outbox.write(c) // its file never changes

	p.mu.Lock()
	defer p.mu.Unlock()
	k.savedAt = now
	if err == nil {
		k.err, k.since = nil, time.Time{}
		return
	}
	if k.err == nil {
		k.since = now
		p.log.Warn("queued statuses not saved", zap.Error(err))
	}
	k.err, k.unsaved, k.retryAt = err, true, now.Add(saveRetry)
}

// saveIn returns the time until the outbox must be written. The caller holds mu.
func (k *keeping) saveIn(now time.Time) time.Duration {
	switch {
	case k.outbox.file == "":
	case k.unsaved:
		return max(0, k.retryAt.Sub(now))
	case k.words:
		return max(0, latest(k.retryAt, k.savedAt.Add(saveWordsEvery)).Sub(now))
	}
	return forever
}

// letters returns the statuses of the branch. The caller holds mu.
func (p *Poster) letters() []letter {
	letters := []letter{}
	for _, k := range p.order() {
		if e := p.entries[k]; e.branch {
			letters = append(letters, letter{
				SHA: k.sha, Context: k.context, State: e.want.State, Description: e.want.Description,
				Since: e.wantSince, By: e.by, ByTime: e.byTime, IfPending: e.ifPending,
			})
		}
	}
	return letters
}

// Begin sets the newest revision of the branch. Statuses wanted for it survive a restart,
// and each status of an earlier revision of the branch gets one last update. Begin does
// not block.
//
// A commit that had become a success stays one, since that is what happened. Any other
// ends as a failure that names its successor. As a success it would pass a required check
// without ever having been in sync; left pending, it would block whoever waits for its
// outcome.
func (p *Poster) Begin(rev federation.Revision) {
	if rev.SHA == "" {
		return
	}
	p.mu.Lock()
	p.head = rev
	for k, e := range p.entries {
		if e.branch && k.sha != rev.SHA && e.by == "" {
			p.overtake(e, rev)
		}
	}
	p.forget()
	p.mu.Unlock()
	p.nudge()
}

// overtake marks an entry as that of a superseded commit. The caller holds mu.
func (p *Poster) overtake(e *entry, by federation.Revision) {
	e.by, e.byTime = by.Short(), time.Now()
	p.keeping.unsaved = true
}

// remove forgets an entry. The caller holds mu.
func (p *Poster) remove(k key) {
	delete(p.entries, k)
	p.keeping.unsaved = true
}

// lookBack ends pending statuses of ours on commits before the newest, if the queued
// statuses were lost: nothing else would end them.
func (p *Poster) lookBack(ctx context.Context) {
	if p.options.Older == nil || p.keeping.complete {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-p.wanted:
	}
	p.mu.Lock()
	head := p.head
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookBackTime)
	defer cancel()
	older, err := p.options.Older(ctx, head.SHA, lookBackMost)
	if err != nil {
		if ctx.Err() == nil {
			p.log.Warn("earlier commits not checked", zap.Error(err))
		}
		return
	}
	p.mu.Lock()
	p.suspect(older, head)
	p.keeping.complete, p.keeping.unsaved = true, true
	p.mu.Unlock()
	p.nudge()
}

// suspect adds entries for older commits, the newest of them first, so that the forge is
// asked about them. The caller holds mu.
func (p *Poster) suspect(older []string, head federation.Revision) {
	var contexts []string
	for k, e := range p.entries {
		if e.branch && k.sha == head.SHA {
			contexts = append(contexts, k.context)
		}
	}
	slices.Sort(contexts) // the federation's own is the shortest
	older = older[:min(len(older), lookBackMost, lookBackKeys/max(1, len(contexts)))]
	for _, sha := range slices.Backward(older) { // the newest has the highest sequence
		for _, context := range contexts {
			if p.entries[key{sha, context}] == nil && sha != head.SHA {
				e := p.entry(sha, context)
				e.branch, e.ifPending = true, !p.options.Deployments
				p.overtake(e, head)
			}
		}
	}
	p.forget()
}
