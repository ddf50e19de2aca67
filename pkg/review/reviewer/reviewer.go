package reviewer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/bell"
	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/render/worker"
	"github.com/fedsync/fedsync/pkg/review"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/contexts"
	"github.com/fedsync/fedsync/pkg/wire"
)

const (
	// factsInterval is how often the facts that matter to a plan are checked for changes.
	factsInterval = time.Second
	// forgeTimeout is how long a request about pull requests may take.
	forgeTimeout = 30 * time.Second
	// commentPause is the time between two tries to post a comment that the forge refuses.
	commentPause = time.Minute
	// commentCheck is the time between two checks of a comment that is up to date.
	commentCheck = 5 * time.Second
	// lowestPriority is the niceness of the process that renders plans.
	lowestPriority = 19
)

// Reviewer plans the open pull requests, concurrently with the loop, which passes it a View
// and continues. Package review decides what to do, from the open pull requests, the revision
// in force and the existing plans. One goroutine owns that state. Separate goroutines send
// requests to the forge, one at a time, and make plans, two at a time.
type Reviewer struct {
	cfg       *config.Config
	source    *source.Source
	secrets   *secret.Set
	log       *zap.Logger
	poster    poster
	publicURL func() string

	forge    status.Reviewer
	renderer *worker.Worker
	nudged   bell.Bell // a webhook reported a change
	news     bell.Bell // the loop passed a View

	mu     sync.Mutex // protects what follows
	seen   View
	made   map[string]review.Made    // by head, for the page
	checks map[string]review.Comment // by head, for its check
	its    string                    // the context of the checks

	bases baseSides

	// Owned by run.
	state    review.State
	context  string // of the statuses that were posted
	stop     map[string]context.CancelFunc
	ended    chan review.Made
	told     map[string]told // by head: what was passed to the poster
	calling  bool            // a request to the forge is running
	answers  chan func()     // the results of requests
	listAt   time.Time       // when the pull requests are listed again
	failures int             // of listing, in a row
	comments comments
}

// A poster posts the commit statuses that are wanted.
type poster interface {
	Want(c status.Commit)
	Drop(sha, context string)
}

// Options are what a reviewer needs.
type Options struct {
	Config    *config.Config
	Source    *source.Source
	Secrets   *secret.Set // of the repository's server and the forge
	Log       *zap.Logger
	Poster    poster
	PublicURL func() string // of the page; empty for none
}

// New returns the reviewer for the settings; nil if they turn it off.
func New(o Options) (*Reviewer, error) {
	cfg := o.Config
	if cfg.PlanPullRequests == config.PlanNone {
		return nil, nil //nolint:nilnil // the settings turn it off
	}
	// A provider sends one request at a time, so the reviewer does not share the poster's.
	provider, err := wire.NewProvider(cfg, o.Source, o.Secrets)
	if err != nil {
		return nil, err
	}
	forge, ok := provider.(status.Reviewer)
	if !ok {
		return nil, fmt.Errorf("--plan-pull-requests=%s needs a forge with pull requests in --commit-status, which is %q", cfg.PlanPullRequests, cfg.CommitStatus)
	}
	r := &Reviewer{
		cfg: cfg, source: o.Source, secrets: o.Secrets, log: o.Log, poster: o.Poster, publicURL: o.PublicURL,
		forge: forge, nudged: bell.New(), news: bell.New(),
		stop: map[string]context.CancelFunc{}, ended: make(chan review.Made, review.AtATime),
		told: map[string]told{}, answers: make(chan func(), 1), comments: newComments(),
		renderer: worker.New(worker.Options{
			Memory: cfg.MaxRenderMemory, Time: cfg.MaxRenderTime, Require: cfg.Sandbox == "require",
			Niceness: lowestPriority, Log: o.Log,
		}),
	}
	r.state = review.State{
		Policy: review.Policy{
			Forks: cfg.PlanPullRequests == config.PlanForks, Unknown: review.Unknown(cfg.PlanUnknown), Deadline: cfg.StatusDeadline,
		},
		Made: map[string]review.Made{}, Doing: map[string]string{},
	}
	return r, nil
}

// Nudge makes the reviewer list the pull requests now.
func (r *Reviewer) Nudge() { r.nudged.Ring() }

// Close ends the process that renders plans.
func (r *Reviewer) Close() { r.renderer.Close() }

// Run runs until ctx ends.
func (r *Reviewer) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last View
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.nudged:
			r.listAt, r.failures = time.Time{}, 0
		case <-r.news:
			v := r.view()
			if v.Tip == last.Tip && v.Quiet == last.Quiet && v.Context == last.Context && v.Yielded == last.Yielded {
				// If only facts changed, they are checked at intervals, however often they change.
				if r.state.Now.Add(factsInterval).After(time.Now()) {
					timer.Reset(factsInterval)
					continue
				}
			}
		case m := <-r.ended:
			r.end(m)
		case answer := <-r.answers:
			r.calling = false
			answer()
		case <-timer.C:
		}
		last = r.view()
		next := r.turn(ctx, &running, last)
		timer.Reset(max(time.Until(next), time.Millisecond))
	}
}

// turn does what is due, and returns when something is due next.
func (r *Reviewer) turn(ctx context.Context, running *sync.WaitGroup, v View) (next time.Time) {
	now := time.Now()
	r.state.Now, r.state.Facts, r.state.Tip = now, v.Facts, ""
	if v.Quiet && !v.Yielded {
		r.state.Tip = v.Tip
	}
	begin, stop, again := r.state.Next()
	for _, head := range stop {
		r.stop[head]()
	}
	for _, pr := range begin {
		r.begin(ctx, running, pr, v)
	}
	if v.Yielded || v.Tip == "" {
		// The instance that posts now may post something else.
		clear(r.told)
		clear(r.comments.shown)
		return now.Add(r.cfg.Interval)
	}
	told := r.state.Tell()
	if v.Context != "" {
		r.post(v.Context, told)
	}
	next = r.call(ctx, running, now, told.Comments)
	if !again.IsZero() && again.Before(next) {
		next = again
	}
	return next
}

// begin starts planning a head.
func (r *Reviewer) begin(ctx context.Context, running *sync.WaitGroup, pr status.PullRequest, v View) {
	its, stop := context.WithCancel(ctx)
	r.stop[pr.Head], r.state.Doing[pr.Head] = stop, v.Tip
	earlier := r.state.Made[pr.Head]
	running.Go(func() {
		m := r.plan(its, pr, v, earlier)
		if its.Err() != nil {
			m = review.Made{Head: pr.Head} // it was stopped and has no result
		}
		r.ended <- m // the capacity suffices for all running plans
	})
}

// end records the result of planning a head.
func (r *Reviewer) end(m review.Made) {
	r.stop[m.Head]()
	delete(r.stop, m.Head)
	delete(r.state.Doing, m.Head)
	if !m.At.IsZero() {
		r.state.Made[m.Head] = m
		r.show()
	}
}

// show publishes the plans for the page.
func (r *Reviewer) show() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made = maps.Clone(r.state.Made)
}

// showChecks publishes the content of checks for the poster.
func (r *Reviewer) showChecks(checks map[string]review.Comment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks, r.its = checks, r.context
}

// Details returns what the check of a head shows: the plan, and an annotation on each line
// that a finding names. It returns false for a status that is not about a plan.
func (r *Reviewer) Details(c status.Commit) (status.Details, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Context != r.its || r.its == "" {
		return status.Details{}, false
	}
	its := r.checks[c.SHA]
	return status.Details{Summary: its.Check(), Annotations: status.Annotations(its.Findings())}, true
}

// told is what was passed to the poster about a head.
type told struct {
	status.Commit
	check [sha256.Size]byte // a digest of what its check shows
}

// Plans returns the plans by head.
func (r *Reviewer) Plans() map[string]review.Made {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made
}

// post passes to the poster the statuses that the heads should have.
func (r *Reviewer) post(context string, all review.Told) {
	context = contexts.Patterns(r.cfg.StatusContexts).Plan(context)
	if context != r.context {
		clear(r.told)
		r.context = context
	}
	_, shows := r.forge.(status.Checker)
	if shows {
		r.showChecks(all.Checks)
	}
	wanted := map[string]bool{}
	for _, c := range slices.Backward(all.Statuses) { // the poster begins with the last one
		c.Context = context
		if url := r.publicURL(); url != "" {
			c.TargetURL = strings.TrimSuffix(url, "/") + "/plans/" + c.SHA
		}
		wanted[c.SHA] = true
		its := told{Commit: c}
		if shows {
			its.check = all.Checks[c.SHA].Digest()
		}
		if r.told[c.SHA] != its {
			r.told[c.SHA] = its
			r.poster.Want(c)
		}
	}
	for head := range r.told {
		if !wanted[head] {
			r.poster.Drop(head, context)
			delete(r.told, head)
		}
	}
}

// call sends one request to the forge, if none is running: to list pull requests, or to
// change a comment. It returns when the next request is due.
func (r *Reviewer) call(ctx context.Context, running *sync.WaitGroup, now time.Time, wanted map[int64]review.Comment) (next time.Time) {
	if r.calling {
		return now.Add(forgeTimeout)
	}
	if !r.listAt.After(now) {
		r.calling = true
		running.Go(func() { r.answers <- r.list(ctx) })
		return now.Add(forgeTimeout)
	}
	next = r.listAt
	if r.context == "" {
		return next
	}
	number, at := r.comments.due(wanted, now)
	if number == 0 {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
		return next
	}
	marker, comment := "<!-- fedsync:plan:"+r.commentDigest()+" -->", wanted[number]
	r.calling = true
	running.Go(func() {
		timed, cancel := context.WithTimeout(ctx, forgeTimeout)
		defer cancel()
		err := status.Survive(r.log, func() error { return r.forge.Comment(timed, number, marker, comment.Text()) })
		r.answers <- func() { r.commented(ctx, number, comment, err) }
	})
	return next
}

// commentDigest identifies the comment of this federation.
func (r *Reviewer) commentDigest() string {
	if folder := r.source.Path(); folder != "" {
		return identity.Digest(r.context, folder)
	}
	return identity.Digest(r.context)
}

// list lists the open pull requests. The returned function records the answer.
func (r *Reviewer) list(ctx context.Context) func() {
	timed, cancel := context.WithTimeout(ctx, forgeTimeout)
	defer cancel()
	var (
		open    []status.PullRequest
		changed bool
	)
	err := status.Survive(r.log, func() (err error) {
		open, changed, err = r.forge.Open(timed, r.source.Branch())
		return err
	})
	return func() {
		if ctx.Err() != nil {
			return
		}
		r.listAt = time.Now().Add(r.cfg.Interval)
		if err != nil {
			r.failures++
			pause := min(r.cfg.Interval<<min(r.failures, 10), 2*time.Minute)
			if wait, ok := errors.AsType[*status.RetryAfterError](err); ok {
				pause = min(max(pause, wait.After), time.Hour)
			}
			r.listAt = time.Now().Add(pause)
			r.log.Warn("pull requests not listed", zap.Error(err))
			return
		}
		r.failures = 0
		if changed {
			r.open(open)
		}
	}
}

// open records the open pull requests, and forgets all others.
func (r *Reviewer) open(open []status.PullRequest) {
	r.state.Open = open
	heads := map[string]bool{}
	for _, pr := range open {
		heads[pr.Head] = true
	}
	maps.DeleteFunc(r.state.Made, func(head string, _ review.Made) bool { return !heads[head] })
	r.comments.retain(open)
	r.show()
}

func (r *Reviewer) commented(ctx context.Context, number int64, comment review.Comment, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.log.Warn("comment on a pull request not made", zap.Int64("pull request", number), zap.Error(err))
	}
	r.comments.made(number, comment, err, time.Now())
}
