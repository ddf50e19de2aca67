// Package post posts the state of commits to a forge. A [Poster] holds the wanted and the
// posted status of each commit and context, and posts the difference at a pace that the
// forge tolerates. The newest status wins, and nothing is lost by a forge that does not
// answer or by a restart.
package post

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

// The pace of the Poster. The numbers are the design's, except for the backoff and the
// pauses between changes of words, which only avoid needless requests.
const (
	budget      = 200              // posts for one commit and context; GitHub's limit is 1,000
	hold        = 60 * time.Second // how long a posted success must be wrong before it changes
	callTimeout = 30 * time.Second // of one request to the forge
	backoffMin  = time.Second
	backoffMax  = 2 * time.Minute
	retryMax    = time.Hour   // the longest pause that a forge may ask for
	callGrace   = time.Second // how long a request may outlast its context

	// Pauses between two tries of a status that the forge rejects.
	rejectPauseMin = 5 * time.Second
	rejectPauseMax = time.Hour
	rejectPauseNew = time.Minute // at most, if another state is wanted
	rejectedMax    = time.Hour   // after which a superseded commit's last status is dropped

	rejectPauseFull = 24 * time.Hour // if the forge accepts no more statuses of the commit
)

// Options are what a Poster needs in addition to its provider. The zero Options make a
// working Poster.
type Options struct {
	Context   string // of statuses that name none
	PublicURL string // of the page: statuses link to PublicURL/revisions/SHA; empty for no link
	Log       *zap.Logger
	// OnPost is called for every attempt, for metrics. An attempt counts even if it ended
	// before the post, because the forge did not report what is posted already. OnPost
	// must not block.
	OnPost func(provider string, result Result)
	// Details returns what a forge with checks shows with a status. It is called when the
	// status is sent, and at most once a minute when it is wanted again: if only the
	// details changed, the status is posted again. Nil for no details.
	Details func(status.Commit) status.Details

	// Deployments reports that the provider's statuses are deployments: a success is also
	// ended when another revision takes its place and the queued statuses were lost.
	Deployments bool

	// Outbox is the file that saves waiting statuses for the next process; empty for
	// none. Only one process may use it at a time.
	Outbox string
	// Grants reports whether a status that an earlier process saved may still be posted
	// under its context; nil for yes.
	Grants func(context string) bool
	// Older returns up to n ancestors of a commit, newest first; nil if that is
	// impossible. It is called if the outbox is missing or damaged.
	Older func(ctx context.Context, sha string, n int) ([]string, error)
}

// Result is how an attempt to post ended.
type Result string

// The results.
const (
	Posted   Result = "posted"
	Retry    Result = "retry"    // it failed and is retried
	Refused  Result = "refused"  // the forge does not accept the credentials
	Rejected Result = "rejected" // the forge does not accept the status, as for an unknown commit
)

// Poster brings the statuses that commits should have to one forge. It compares the
// wanted with the posted statuses, so the same wish may be repeated any number of times.
//
// Nothing is lost while the forge does not answer: the newest status of each commit and
// context waits, and is in the outbox until it is posted. After a restart, or a lost
// answer, the Poster asks the forge what is posted already, and posts only the
// difference.
type Poster struct {
	provider status.Provider
	batcher  status.Batcher // the provider, if it posts several at once; else nil
	options  Options
	log      *zap.Logger
	wake     chan struct{} // has room for one: the turn that it starts sees all wishes

	mu       sync.Mutex // protects what follows
	entries  map[key]*entry
	sequence uint64              // of Want: the newest has the highest
	failures int                 // in a row, of the forge as a whole
	retryAt  time.Time           // no request to the forge before
	pauseEnd time.Time           // no post to a batcher before
	head     federation.Revision // the branch's newest
	keeping  keeping
	refused  refusal // what Probe found

	wanted     chan struct{} // closed when a status of the newest revision is wanted
	wantedOnce sync.Once

	busy chan struct{} // has room for the one request that may be running
}

// New returns a Poster for one forge. It posts while Run runs.
func New(provider status.Provider, options Options) *Poster {
	p := &Poster{
		provider: provider,
		options:  options,
		log:      options.Log,
		wake:     make(chan struct{}, 1),
		entries:  map[key]*entry{},
		busy:     make(chan struct{}, 1),
		wanted:   make(chan struct{}),
		keeping:  keeping{outbox: outbox{options.Outbox}},
	}
	p.batcher, _ = provider.(status.Batcher)
	if p.log == nil {
		p.log = zap.NewNop()
	}
	p.log = p.log.With(zap.String("provider", provider.Name()))
	if options.Outbox != "" {
		p.load()
	}
	return p
}

// Want sets the status that a commit should have from now on. It does not block, and the
// newest call for a commit and context wins. A missing context or target URL is filled
// in. A status without commit or state is ignored.
func (p *Poster) Want(c status.Commit) {
	if c.SHA == "" || c.State == "" {
		return
	}
	if c.Context == "" {
		c.Context = p.options.Context
	}
	if c.TargetURL == "" {
		c.TargetURL = p.link(c.SHA)
	}
	c.Description = p.trim(c.Description)
	c.Time, c.Superseded = time.Time{}, false

	p.mu.Lock()
	e := p.entry(c.SHA, c.Context)
	e.branch = e.branch || c.SHA == p.head.SHA
	p.markUnsaved(e, c)
	if e.rejected != nil && e.want.State != c.State && !errors.Is(e.rejected, status.ErrFull) {
		e.retryAt = earliest(e.retryAt, time.Now().Add(rejectPauseNew))
	}
	e.want = c
	e.shown.asked = p.shows()
	e.observe(time.Now())
	if e.branch {
		p.wantedOnce.Do(func() { close(p.wanted) })
	}
	p.mu.Unlock()
	p.nudge()
}

// markUnsaved records what the outbox lacks when an entry is to want c. The caller holds
// mu.
func (p *Poster) markUnsaved(e *entry, c status.Commit) {
	if was := e.want.State; e.wantSince.IsZero() || (was == status.Success) != (c.State == status.Success) {
		e.wantSince = time.Now()
	}
	switch {
	case e.want.State != c.State || e.by != "" || e.resting:
		p.keeping.unsaved = p.keeping.unsaved || e.branch
	case e.want.Description != c.Description:
		p.keeping.words = p.keeping.words || e.branch
	}
	e.by, e.byTime, e.ifPending, e.resting = "", time.Time{}, false, false
}

// link returns the URL of a commit's page; empty if there is no page.
func (p *Poster) link(sha string) string {
	if p.options.PublicURL == "" {
		return ""
	}
	return strings.TrimSuffix(p.options.PublicURL, "/") + "/revisions/" + sha
}

// Drop forgets the status of a commit under a context. A posted status remains.
func (p *Poster) Drop(sha, context string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.entries, key{sha, context})
}

// Withdraw drops everything that is not posted yet: another instance now posts for these
// commits.
func (p *Poster) Withdraw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.entries) > 0 {
		clear(p.entries)
		p.keeping.unsaved = true
	}
}

// Run posts until ctx ends.
func (p *Poster) Run(ctx context.Context) {
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { p.lookBack(ctx) })
	for {
		next := p.turn(ctx)
		timer := time.NewTimer(next)
		if next == forever {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-p.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (p *Poster) trim(s string) string { return untrusted.Clean(s, p.provider.Limit()) }

func (p *Poster) nudge() {
	select {
	case p.wake <- struct{}{}:
	default: // a turn is due already and will see this wish
	}
}

// turn does everything that is due and returns the time until more is.
func (p *Poster) turn(ctx context.Context) time.Duration {
	for ctx.Err() == nil {
		p.save(time.Now())
		p.compareDetails(time.Now())
		task, next := p.next(time.Now())
		if task.empty() {
			return next
		}
		if task.list != nil {
			posted, err := ask(ctx, p, func(ctx context.Context) ([]status.Commit, error) {
				return p.provider.List(ctx, task.list.sha, task.list.context)
			})
			p.listed(ctx, *task.list, posted, err)
			continue
		}
		details := p.details(task.post)
		_, err := ask(ctx, p, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, p.send(ctx, task.post, details)
		})
		if err == nil {
			p.sent(task.post, details)
		}
		p.posted(ctx, task.post, err)
	}
	return forever
}

// ask makes one request to the forge, within the time that a request may take. A request
// that outlives its context, as on a hanging file system, is abandoned: neither this
// Poster's end nor its findings wait for it. Since a provider does one thing at a time,
// the next request waits for it.
func ask[T any](ctx context.Context, p *Poster, request func(context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	select {
	case p.busy <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return none, fmt.Errorf("the previous request has not ended: %w", ctx.Err())
	}
	answers := make(chan answer, 1) // has room for an abandoned answer
	go func() {
		defer cancel()
		defer func() { <-p.busy }()
		var a answer
		a.err = status.Survive(p.log, func() (err error) {
			a.value, err = request(ctx)
			return err
		})
		answers <- a
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
	}
	// An answer that arrives as the context ends still counts.
	grace := time.NewTimer(callGrace)
	defer grace.Stop()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-grace.C:
		return none, fmt.Errorf("the request did not end: %w", ctx.Err())
	}
}

func (p *Poster) send(ctx context.Context, commits []status.Commit, details status.Details) error {
	if len(commits) > 1 {
		return p.batcher.PostAll(ctx, commits)
	}
	if checker, ok := p.provider.(status.Checker); ok {
		return checker.PostCheck(ctx, commits[0], details)
	}
	return p.provider.Post(ctx, commits[0])
}

// listed handles the forge's list of posted statuses.
func (p *Poster) listed(ctx context.Context, k key, posted []status.Commit, err error) {
	if err != nil && ctx.Err() != nil {
		return // we are stopping: this proves nothing about the forge
	}
	if err != nil {
		p.log.Warn("posted statuses not read", zap.String("revision", k.sha), zap.String("context", k.context), zap.Error(err))
		p.notify(resultOf(err))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.entries[k]
	if e == nil {
		return
	}
	if err != nil && !errors.Is(err, status.ErrRejected) {
		e.fail(err, time.Now())
		p.fail(err)
		return
	}
	e.learn(posted, time.Now())
	if _, _, due := e.due(p.trim); !e.unsure || !due {
		p.answered() // otherwise only a post shows whether posts are accepted again
		e.answered()
	}
	e.listed, e.unsure = true, false
	if e.by != "" && e.finished() {
		p.remove(k)
	}
}

// posted handles the outcome of one attempt.
func (p *Poster) posted(ctx context.Context, commits []status.Commit, err error) {
	if err != nil && ctx.Err() != nil {
		return // we are stopping: this proves nothing about the forge
	}
	result := resultOf(err)
	if err == nil {
		for _, c := range commits {
			p.log.Info("status posted", zap.String("revision", c.SHA), zap.String("context", c.Context),
				zap.String("state", string(c.State)))
		}
	} else {
		p.log.Warn("status not posted", zap.String("revision", commits[0].SHA),
			zap.String("context", commits[0].Context), zap.String("result", string(result)), zap.Error(err))
	}
	p.mu.Lock()
	p.settle(commits, result, err)
	p.mu.Unlock()
	for range commits {
		p.notify(result)
	}
}

func (p *Poster) notify(result Result) {
	if p.options.OnPost != nil {
		p.options.OnPost(p.provider.Name(), result)
	}
}

func resultOf(err error) Result {
	switch {
	case err == nil:
		return Posted
	case errors.Is(err, status.ErrRejected):
		return Rejected
	case errors.Is(err, status.ErrUnauthorized):
		return Refused
	}
	return Retry
}

// settle records the outcome for commits. The caller holds mu.
func (p *Poster) settle(commits []status.Commit, result Result, err error) {
	now := time.Now()
	if p.batcher != nil {
		p.pauseEnd = now.Add(p.batcher.Interval())
	}
	if result == Retry || result == Refused {
		for _, c := range commits {
			if e := p.entries[key{c.SHA, c.Context}]; e != nil {
				e.fail(err, now)
				e.unsure = e.unsure || !isAnswer(err)
			}
		}
		p.fail(err)
		return
	}
	p.answered()
	if result == Rejected && len(commits) > 1 {
		// One of them is refused and takes the rest along: they are posted one by one.
		for _, c := range commits {
			if e := p.entries[key{c.SHA, c.Context}]; e != nil {
				e.alone = true
			}
		}
		return
	}
	for _, c := range commits {
		k := key{c.SHA, c.Context}
		e := p.entries[k]
		if e == nil {
			continue
		}
		if result == Rejected {
			e.reject(err, now)
		} else {
			e.record(c, now)
		}
		if e.by != "" && (e.finished() || e.rejectedFor() >= rejectedMax) {
			p.remove(k)
		}
	}
}

// isAnswer reports whether an error proves that the forge has not accepted a status.
// After any other error it may have: the answer was lost.
func isAnswer(err error) bool {
	_, later := errors.AsType[*status.RetryAfterError](err)
	return later || errors.Is(err, status.ErrUnauthorized)
}

// fail pauses all requests: as long as the forge asks for, or longer with every failure.
// The caller holds mu.
func (p *Poster) fail(err error) {
	p.failures++
	pause := backoff(p.failures)
	if errors.Is(err, status.ErrUnauthorized) {
		pause = backoff(slowest)
	}
	if after, ok := errors.AsType[*status.RetryAfterError](err); ok {
		pause = min(max(after.After, 0), retryMax) + rand.N(time.Second)
	}
	p.retryAt = time.Now().Add(pause)
}

// slowest is the number of failures from which the pause no longer grows.
const slowest = 8

// backoff returns the pause after so many failures in a row. It is random between half of
// the full pause and all of it, so that many daemons that lost one forge do not return at
// once.
func backoff(failures int) time.Duration {
	pause := backoffMax
	if failures < slowest {
		pause = backoffMin << (failures - 1)
	}
	return pause/2 + rand.N(pause/2)
}

// answered records that the forge works. If several requests had failed, the fault is
// taken to be the forge's, and the failed statuses need not wait. The caller holds mu.
func (p *Poster) answered() {
	if p.failures > 1 {
		for _, e := range p.entries {
			if e.failure != nil {
				e.retryAt = time.Time{}
			}
		}
	}
	p.failures, p.retryAt = 0, time.Time{}
}
