// Package post tells a forge how commits stand. A [Poster] keeps for each commit and
// context what is wanted and what was posted, and posts the difference at a pace that the
// forge bears: newest wins, and nothing is lost by a forge that is away or by a restart.
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

// How the Poster paces itself. The numbers are the design's, except for the
// backoff and the pauses between changes of words, which only keep a forge from
// being asked needlessly.
const (
	budget      = 200              // posts for one commit and context; GitHub ends at 1,000
	hold        = 60 * time.Second // that a posted success must be untrue before it changes
	callTimeout = 30 * time.Second // of one request to the forge
	backoffMin  = time.Second
	backoffMax  = 2 * time.Minute
	retryMax    = time.Hour   // that a forge may ask to be left alone
	callGrace   = time.Second // that a request may outlast its context

	// Between two tries of a status that the forge does not take.
	rejectPauseMin = 5 * time.Second
	rejectPauseMax = time.Hour
	rejectPauseNew = time.Minute // at most, once another state is wanted
	rejectedMax    = time.Hour   // then a superseded commit's last status is given up

	rejectPauseFull = 24 * time.Hour // where the forge takes no more of the commit
)

// Options are what a Poster needs besides its provider. The zero Options make a
// working Poster.
type Options struct {
	Context   string // of statuses that name none
	PublicURL string // of the page: statuses link to PublicURL/revisions/SHA; empty for no link
	Log       *zap.Logger
	// OnPost is told of every attempt, for metrics: one that ended before the
	// post, when the forge did not say what is posted already, counts. It must
	// not block.
	OnPost func(provider string, result Result)
	// Details gives what a forge that has checks shows with a status. It is asked when
	// the status is sent, and at most once a minute when it is wanted again: where only
	// they have changed the status is posted again. Nil for nothing.
	Details func(status.Commit) status.Details

	// Deployments says that the provider's statuses are deployments: one that was a success
	// is ended too when another revision takes its place and what waited was not kept.
	Deployments bool

	// Outbox is the file in which what waits outlives this process; empty for none. It
	// is one process's at a time.
	Outbox string
	// Grants reports whether a status that an earlier process kept may still be posted
	// under its context; nil for yes.
	Grants func(context string) bool
	// Older gives up to n commits that a commit has behind it, the newest first; nil
	// where nobody knows. It is asked where the outbox is missing or damaged.
	Older func(ctx context.Context, sha string, n int) ([]string, error)
}

// Result is how an attempt to post ended.
type Result string

// The results.
const (
	Posted   Result = "posted"
	Retry    Result = "retry"    // it failed and is tried again
	Refused  Result = "refused"  // the forge does not accept the credentials
	Rejected Result = "rejected" // the forge does not take it, as for a commit that it does not know
)

// Poster brings the statuses that commits should have to one forge. It compares
// what is wanted with what was posted, as every part of fedsync does, so it may
// be told the same thing any number of times.
//
// Nothing is lost while the forge is away: the newest status of each commit and
// context waits, and what waits stands in the outbox until it is posted. After a
// restart the Poster asks the forge what is posted already, and posts only what
// differs. It asks, too, when an answer was lost.
type Poster struct {
	provider status.Provider
	batcher  status.Batcher // the provider, when it takes several at once; else nil
	options  Options
	log      *zap.Logger
	wake     chan struct{} // has room for one: the pass that it starts sees all that is wanted

	mu       sync.Mutex // protects what follows
	entries  map[key]*entry
	sequence uint64              // of Want: the newest has the highest
	failures int                 // in a row, of the forge as a whole
	retryAt  time.Time           // the forge is left alone until then
	pauseEnd time.Time           // a batcher is left alone until then
	head     federation.Revision // the branch's newest
	keeping  keeping
	refused  refusal // what Probe found

	wanted     chan struct{} // closed once a status of the newest revision is wanted
	wantedOnce sync.Once

	busy chan struct{} // has room for the one request that may be under way
}

// New makes a Poster for one forge. It posts while Run runs.
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

// Want says what status a commit should have from now on. It does not block, and
// for one commit and context the newest call wins. A missing context or target
// URL is filled in. A status without commit or state is no wish and is ignored.
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
	p.keep(e, c)
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

// keep notes what the outbox lacks when an entry comes to want c. The caller holds mu.
func (p *Poster) keep(e *entry, c status.Commit) {
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

// link is the page of a commit; empty where there is no page.
func (p *Poster) link(sha string) string {
	if p.options.PublicURL == "" {
		return ""
	}
	return strings.TrimSuffix(p.options.PublicURL, "/") + "/revisions/" + sha
}

// Drop says that nobody cares any more for the status of a commit under a context: what
// was posted stays.
func (p *Poster) Drop(sha, context string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.entries, key{sha, context})
}

// Withdraw drops all that is not posted yet: another instance speaks of these
// commits now.
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
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { p.lookBack(ctx) })
	for {
		next := p.pass(ctx)
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
	default: // a pass is due already and will see this wish
	}
}

// pass does all that is due and says how long nothing will be.
func (p *Poster) pass(ctx context.Context) time.Duration {
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

// ask makes one request to the forge, in the time that a request may take. One
// that does not end with its context, as on a file system that hangs, is left
// behind: then neither this Poster's end nor its findings wait for it. As a
// provider does one thing at a time, the next request waits for it.
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
		return none, fmt.Errorf("the request before has not ended: %w", ctx.Err())
	}
	answers := make(chan answer, 1) // has room for an answer that nobody waits for
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
	// What was answered while the context ended counts.
	grace := time.NewTimer(callGrace)
	defer grace.Stop()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-grace.C:
		return none, fmt.Errorf("the request does not end: %w", ctx.Err())
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

// listed takes the forge's answer to what is posted already.
func (p *Poster) listed(ctx context.Context, k key, posted []status.Commit, err error) {
	if err != nil && ctx.Err() != nil {
		return // we are stopping: that says nothing of the forge
	}
	if err != nil {
		p.log.Warn("posted statuses not read", zap.String("revision", k.sha), zap.String("context", k.context), zap.Error(err))
		p.tell(resultOf(err))
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
		p.answered() // else only a post shows whether posts are taken again
		e.answered()
	}
	e.listed, e.unsure = true, false
	if e.by != "" && e.finished() {
		p.remove(k)
	}
}

// posted takes the outcome of one attempt.
func (p *Poster) posted(ctx context.Context, commits []status.Commit, err error) {
	if err != nil && ctx.Err() != nil {
		return // we are stopping: that says nothing of the forge
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
		p.tell(result)
	}
}

func (p *Poster) tell(result Result) {
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

// settle writes down what became of commits. The caller holds mu.
func (p *Poster) settle(commits []status.Commit, result Result, err error) {
	now := time.Now()
	if p.batcher != nil {
		p.pauseEnd = now.Add(p.batcher.Interval())
	}
	if result == Retry || result == Refused {
		for _, c := range commits {
			if e := p.entries[key{c.SHA, c.Context}]; e != nil {
				e.fail(err, now)
				e.unsure = e.unsure || !answers(err)
			}
		}
		p.fail(err)
		return
	}
	p.answered()
	if result == Rejected && len(commits) > 1 {
		// One of them is refused and takes the others along: they go one by one.
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

// answers reports whether an error is the forge's word that it has not taken a status.
// After any other it may have: the answer was lost.
func answers(err error) bool {
	_, later := errors.AsType[*status.RetryAfterError](err)
	return later || errors.Is(err, status.ErrUnauthorized)
}

// fail leaves the forge alone for a while: as long as it asks for, or longer
// with every failure. The caller holds mu.
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

// slowest is the number of failures from which on the pause grows no more.
const slowest = 8

// backoff is the pause after so many failures in a row: between half of what it
// could be and all of it, so that many daemons that lost one forge do not come
// back at once.
func backoff(failures int) time.Duration {
	pause := backoffMax
	if failures < slowest {
		pause = backoffMin << (failures - 1)
	}
	return pause/2 + rand.N(pause/2)
}

// answered notes that the forge works. After a failure of more than one request
// it is taken for the forge's own, and what failed meanwhile need not wait. The
// caller holds mu.
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
