package daemon

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
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/render/worker"
	"github.com/fedsync/fedsync/pkg/review"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/contexts"
	"github.com/fedsync/fedsync/pkg/wire"
)

const (
	// factsInterval is how often it is looked whether facts changed that matter to a plan.
	factsInterval = time.Second
	// forgeTimeout is how long a request about pull requests may take.
	forgeTimeout = 30 * time.Second
	// commentPause is between two tries at a comment that the forge does not take.
	commentPause = time.Minute
	// commentLook is between two looks at a comment that says what it should.
	commentLook = 5 * time.Second
	// standBack is the niceness of the process that renders plans: the lowest there is.
	standBack = 19
)

// reviewer plans the open pull requests, beside the loop: the loop shows it what it knows
// and goes on. What is to be done is decided by pkg/review from what is open, what is in
// force and what was planned; one goroutine runs it and owns that. Requests to the forge,
// one at a time, and plans, two at a time, are made by goroutines of their own.
type reviewer struct {
	*Daemon

	forge    status.Reviewer
	renderer *worker.Worker
	nudged   bell.Bell // a webhook says that something changed
	news     bell.Bell // the loop has shown something

	mu     sync.Mutex // protects what follows
	seen   view
	made   map[string]review.Made    // by head, for the page
	checks map[string]review.Comment // by head, for its check
	its    string                    // the context of the checks

	bases baseSides

	// Owned by run.
	state    review.State
	context  string // of the statuses that were asked for
	stop     map[string]context.CancelFunc
	ended    chan review.Made
	told     map[string]told // by head: what the poster was told
	calling  bool            // the forge is asked something
	answers  chan func()     // what came of that
	listAt   time.Time       // when the pull requests are listed again
	failures int             // of listing, in a row
	comments comments
}

// newReviewer makes the reviewer that the settings ask for; nil for none.
func (d *Daemon) newReviewer() (*reviewer, error) {
	if d.cfg.PlanPullRequests == config.PlanNone {
		return nil, nil //nolint:nilnil // none is what was asked for
	}
	// A provider does one thing at a time, and the poster's is busy with its own.
	provider, err := wire.NewProvider(d.cfg, d.source, d.secrets)
	if err != nil {
		return nil, err
	}
	forge, ok := provider.(status.Reviewer)
	if !ok {
		return nil, fmt.Errorf("--plan-pull-requests=%s needs a forge with pull requests in --commit-status, which is %q", d.cfg.PlanPullRequests, d.cfg.CommitStatus)
	}
	r := &reviewer{
		Daemon: d, forge: forge, nudged: bell.New(), news: bell.New(),
		stop: map[string]context.CancelFunc{}, ended: make(chan review.Made, review.AtATime),
		told: map[string]told{}, answers: make(chan func(), 1), comments: newComments(),
		renderer: worker.New(worker.Options{
			Memory: d.cfg.MaxRenderMemory, Time: d.cfg.MaxRenderTime, Require: d.cfg.Sandbox == "require",
			Niceness: standBack, Log: d.log,
		}),
	}
	r.state = review.State{
		Policy: review.Policy{
			Forks: d.cfg.PlanPullRequests == config.PlanForks, Unknown: review.Unknown(d.cfg.PlanUnknown), Deadline: d.cfg.StatusDeadline,
		},
		Made: map[string]review.Made{}, Doing: map[string]string{},
	}
	return r, nil
}

// nudge asks for the repository and its pull requests to be looked at now.
func (d *Daemon) nudge() {
	d.source.Nudge()
	if d.reviewer != nil {
		d.reviewer.nudged.Ring()
	}
}

// run goes on until ctx ends.
func (r *reviewer) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last view
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.nudged:
			r.listAt, r.failures = time.Time{}, 0
		case <-r.news:
			v := r.view()
			if v.tip == last.tip && v.quiet == last.quiet && v.context == last.context && v.yielded == last.yielded {
				// Facts alone are looked at by the clock, however often they change.
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

// turn does what is due, and says when something is again.
func (r *reviewer) turn(ctx context.Context, running *sync.WaitGroup, v view) (next time.Time) {
	now := time.Now()
	r.state.Now, r.state.Facts, r.state.Tip = now, v.facts, ""
	if v.quiet && !v.yielded {
		r.state.Tip = v.tip
	}
	begin, stop, again := r.state.Next()
	for _, head := range stop {
		r.stop[head]()
	}
	for _, pr := range begin {
		r.begin(ctx, running, pr, v)
	}
	if v.yielded || v.tip == "" {
		// Whoever speaks meanwhile may say something else.
		clear(r.told)
		clear(r.comments.shown)
		return now.Add(r.cfg.Interval)
	}
	told := r.state.Tell()
	if v.context != "" {
		r.post(v.context, told)
	}
	next = r.call(ctx, running, now, told.Comments)
	if !again.IsZero() && again.Before(next) {
		next = again
	}
	return next
}

// begin has a head planned.
func (r *reviewer) begin(ctx context.Context, running *sync.WaitGroup, pr status.PullRequest, v view) {
	its, stop := context.WithCancel(ctx)
	r.stop[pr.Head], r.state.Doing[pr.Head] = stop, v.tip
	earlier := r.state.Made[pr.Head]
	running.Go(func() {
		m := r.plan(its, pr, v, earlier)
		if its.Err() != nil {
			m = review.Made{Head: pr.Head} // it was stopped, and says nothing
		}
		r.ended <- m // there is room for each that is under way
	})
}

// end takes what came of planning a head.
func (r *reviewer) end(m review.Made) {
	r.stop[m.Head]()
	delete(r.stop, m.Head)
	delete(r.state.Doing, m.Head)
	if !m.At.IsZero() {
		r.state.Made[m.Head] = m
		r.show()
	}
}

// show gives the page what there is to read.
func (r *reviewer) show() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made = maps.Clone(r.state.Made)
}

// showChecks gives the poster what there is to read in checks.
func (r *reviewer) showChecks(checks map[string]review.Comment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks, r.its = checks, r.context
}

// details are what the check of a head shows: the plan, and a remark on each line that a
// finding names. They are not those of a status that does not follow from the plan.
func (r *reviewer) details(c status.Commit) (status.Details, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Context != r.its || r.its == "" {
		return status.Details{}, false
	}
	its := r.checks[c.SHA]
	return status.Details{Summary: its.Check(), Annotations: status.Annotations(its.Findings())}, true
}

// told is what the poster was told of a head.
type told struct {
	status.Commit
	check [sha256.Size]byte // a digest of what its check shows
}

// plans gives what there is to read, by head.
func (r *reviewer) plans() map[string]review.Made {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made
}

// planOf is the text of a head's newest plan, for the page.
func (d *Daemon) planOf(head string) (string, bool) {
	r := d.reviewer
	if r == nil {
		return "", false
	}
	m, ok := r.plans()[head]
	if !ok {
		return "", false
	}
	return m.Page(), true
}

// post tells the poster what statuses the heads should have.
func (r *reviewer) post(context string, all review.Told) {
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
	for _, c := range slices.Backward(all.Statuses) { // the poster begins with what it was told last
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

// call asks the forge one thing, if it is not being asked something: what is open, or to
// change a comment. It says when there is something to ask again.
func (r *reviewer) call(ctx context.Context, running *sync.WaitGroup, now time.Time, wanted map[int64]review.Comment) (next time.Time) {
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

// commentDigest tells our comment from those of other federations.
func (r *reviewer) commentDigest() string {
	if folder := r.source.Path(); folder != "" {
		return identity.Digest(r.context, folder)
	}
	return identity.Digest(r.context)
}

// list asks what is open. What it returns takes the answer.
func (r *reviewer) list(ctx context.Context) func() {
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

// open takes what is open. What is known of others is forgotten.
func (r *reviewer) open(open []status.PullRequest) {
	r.state.Open = open
	heads := map[string]bool{}
	for _, pr := range open {
		heads[pr.Head] = true
	}
	maps.DeleteFunc(r.state.Made, func(head string, _ review.Made) bool { return !heads[head] })
	r.comments.keep(open)
	r.show()
}

func (r *reviewer) commented(ctx context.Context, number int64, comment review.Comment, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.log.Warn("comment on a pull request not made", zap.Int64("pull request", number), zap.Error(err))
	}
	r.comments.made(number, comment, err, time.Now())
}
