package post

import (
	"cmp"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// forever is a pause that a wish ends, not the clock.
const forever = time.Duration(math.MaxInt64)

// keptSuperseded is how many superseded statuses wait for a forge that is away.
const keptSuperseded = 200

// superseded begins the last status of a commit.
const superseded = "superseded by "

// key identifies a status.
type key struct{ sha, context string }

// entry is one status: what is wanted and what was posted.
type entry struct {
	sequence uint64
	want     status.Commit // State is empty where the forge is only asked about the commit
	by       string        // the revision that took the commit's place; empty while none did
	byTime   time.Time     // when it did

	branch    bool      // of a revision of the branch: it is kept over a restart
	resting   bool      // an earlier process wanted it, and this one has not confirmed it
	wantSince time.Time // since when it has been wanted as a success, or as none
	ifPending bool      // it is superseded only where what is posted is pending

	listed   bool // what is posted is known
	unsure   bool // it was, and the last post may have been taken all the same
	posted   status.Commit
	postedAt time.Time
	count    int // posts so far
	words    int // posts since the state changed that changed only words

	stateSince time.Time // since when the wanted state has not been the posted one
	wordsSince time.Time // since when only the wanted words have not been the posted ones

	shown shown

	alone bool // not to be posted together with others

	failures int       // of requests about it, in a row
	failure  error     // the last of them; nil when the last request was answered
	since    time.Time // of the first of them
	retryAt  time.Time // it is left alone until then

	rejected      error     // why the forge does not take it; nil when it did, or was not asked
	rejectedSince time.Time // of the first rejection in a row
}

// task is the next thing to ask of the forge.
type task struct {
	list *key
	post []status.Commit
}

func (t task) empty() bool { return t.list == nil && len(t.post) == 0 }

// entry gives the entry of a status, made if there is none, as the newest. The
// caller holds mu.
func (p *Poster) entry(sha, context string) *entry {
	k := key{sha, context}
	e := p.entries[k]
	if e == nil {
		e = &entry{}
		p.entries[k] = e
	}
	p.sequence++
	e.sequence = p.sequence
	return e
}

// next gives what is due now, the newest first, or how long nothing is. Statuses
// of superseded commits come after the others.
func (p *Poster) next(now time.Time) (task, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := p.keeping.saveIn(now)
	if len(p.entries) > 0 && now.Before(p.retryAt) {
		return task{}, min(wait, p.retryAt.Sub(now))
	}
	var posts []status.Commit
	for _, k := range p.order() {
		e := p.entries[k]
		if e.resting && e.by == "" {
			continue
		}
		unknown := !e.listed || e.unsure
		if unknown && e.retryAt.After(now) {
			wait = min(wait, e.retryAt.Sub(now))
			continue
		}
		if unknown && len(posts) > 0 && p.batcher == nil {
			break // what is newer goes first
		}
		if unknown {
			return task{list: &k}, 0
		}
		c, at, wanted := e.due(p.trim)
		switch {
		case !wanted && e.keepsWords() && e.shown.asked:
			wait = min(wait, max(0, e.shown.lookAt(e.postedAt).Sub(now)))
		case !wanted:
		case at.After(now):
			wait = min(wait, at.Sub(now))
		case e.alone && len(posts) == 0:
			return p.paced(now, []status.Commit{c})
		case !e.alone:
			posts = append(posts, c)
		}
	}
	if len(posts) == 0 {
		return task{}, wait
	}
	if p.batcher == nil {
		posts = posts[:1]
	}
	return p.paced(now, posts)
}

// paced gives the commits as a task once a batcher's pause is over.
func (p *Poster) paced(now time.Time, posts []status.Commit) (task, time.Duration) {
	if p.batcher != nil && now.Before(p.pauseEnd) {
		return task{}, p.pauseEnd.Sub(now)
	}
	return task{post: posts}, 0
}

// order gives the entries in the order in which they are asked about: the newest
// first, those of superseded commits last. While the forge fails the one that has
// failed least goes first, so that a request that always hangs holds up no other.
func (p *Poster) order() []key {
	keys := make([]key, 0, len(p.entries))
	for k := range p.entries {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		x, y := p.entries[a], p.entries[b]
		if p.failures > 0 && x.failures != y.failures {
			return cmp.Compare(x.failures, y.failures)
		}
		if (x.by == "") != (y.by == "") {
			if x.by == "" {
				return -1
			}
			return 1
		}
		return cmp.Compare(y.sequence, x.sequence)
	})
	return keys
}

// forget drops the oldest superseded statuses that still wait, so that a forge
// that never comes back does not fill the memory. The caller holds mu.
func (p *Poster) forget() {
	var waiting []key
	for _, k := range p.order() {
		if p.entries[k].by != "" {
			waiting = append(waiting, k)
		}
	}
	for _, k := range waiting[min(len(waiting), keptSuperseded):] {
		p.remove(k)
	}
}

// observe notes since when what is wanted differs from what is posted.
func (e *entry) observe(now time.Time) {
	switch {
	case e.posted.State == "" || e.want.State == "" || e.want.Same(e.posted):
		e.stateSince, e.wordsSince = time.Time{}, time.Time{}
	case e.want.State == e.posted.State:
		e.stateSince = time.Time{}
		if e.wordsSince.IsZero() {
			e.wordsSince = now
		}
	case e.stateSince.IsZero():
		e.stateSince = now
	}
}

// due gives what should be posted and when; the time may have passed. The last
// result is false when nothing should be, or nothing may be.
func (e *entry) due(trim func(string) string) (status.Commit, time.Time, bool) {
	if e.by != "" {
		return e.last(trim), e.retryAt, !e.finished()
	}
	if e.resting {
		return status.Commit{}, time.Time{}, false
	}
	if e.keepsWords() {
		return e.want, e.retryAt, e.shown.changed
	}
	if e.want.State == "" || e.count >= budget {
		return status.Commit{}, time.Time{}, false
	}
	// The last post is kept for the commit's last status, unless that is what
	// gets it out of pending.
	if e.count == budget-1 && (e.posted.State != status.Pending || e.want.State == status.Pending) {
		return status.Commit{}, time.Time{}, false
	}
	return e.want, latest(e.earliest(), e.retryAt), true
}

// keepsWords reports whether what is wanted is posted already, but for its details.
func (e *entry) keepsWords() bool {
	return e.by == "" && !e.resting && e.listed && e.want.State != "" && e.want.Same(e.posted)
}

// waits reports whether a status is wanted that is not known to be posted.
func (e *entry) waits(trim func(string) string) bool {
	_, _, wanted := e.due(trim)
	return wanted || !e.listed && (!e.resting || e.by != "")
}

// earliest is when the wanted status may be posted. Going back from an outcome
// takes a while, so that a flap does not show; going on is at once. Changes of
// words alone, such as a count or a duration, come ever more rarely.
func (e *entry) earliest() time.Time {
	at := time.Time{}
	switch {
	case e.posted.State == "" || e.posted.Superseded:
		return at
	case e.want.State == e.posted.State:
		at = e.postedAt.Add(pauseOfWords(e.words))
		if e.posted.State == status.Success {
			at = latest(at, e.wordsSince.Add(hold))
		}
	case e.posted.State == status.Success, e.want.State == status.Pending:
		at = e.stateSince.Add(hold)
	}
	return latest(at, e.postedAt.Add(pauseOfBudget(e.count)))
}

// pauseOfWords grows from ten seconds to an hour.
func pauseOfWords(n int) time.Duration {
	return min(10*time.Second<<min(n, 10), time.Hour)
}

// pauseOfBudget makes the second half of the budget last for about a month: an
// hour between two posts, and twice as much after each twenty.
func pauseOfBudget(count int) time.Duration {
	if count < budget/2 {
		return 0
	}
	return time.Hour << ((count - budget/2) / 20)
}

// last is the final status of a superseded commit.
func (e *entry) last(trim func(string) string) status.Commit {
	c, before := e.posted, e.posted
	if e.want.State != "" {
		c, before = e.want, e.want
	}
	// A success whose loss was too short to be posted counts as one.
	if e.posted.State == status.Success && !e.stateSince.IsZero() && e.byTime.Sub(e.stateSince) < hold {
		before = e.posted
	}
	c.Time, c.Superseded = time.Time{}, true
	c.Description = superseded + e.by
	words := ""
	switch before.State {
	case status.Success:
		c.State, words = status.Success, " · it was: "
	case status.Failure:
		c.State, words = status.Failure, " · it had failed: "
	case status.Pending:
		c.State = status.Failure
		c.Description += " before it was in sync"
	}
	if words != "" && before.Description != "" {
		c.Description += words + before.Description
	}
	c.Description = trim(c.Description)
	return c
}

// finished says of a superseded commit that nothing is left to say.
func (e *entry) finished() bool {
	if !e.listed {
		return false
	}
	nothing := e.posted.State == "" && e.want.State == "" || e.ifPending && e.posted.State != status.Pending
	said := e.posted.Superseded || strings.HasPrefix(e.posted.Description, superseded)
	return nothing || said || e.count >= budget
}

// learn takes what the forge has, newest first.
func (e *entry) learn(posted []status.Commit, now time.Time) {
	e.count = len(posted)
	if len(posted) == 0 {
		return
	}
	e.posted = posted[0]
	e.postedAt = earliest(posted[0].Time, now) // the forge's clock may be ahead
	e.posted.Time = time.Time{}
	// Another instance had the last word after the process that wanted this.
	if e.resting && e.posted.State != status.Pending && e.postedAt.After(e.wantSince) {
		e.want = status.Commit{}
	}
	e.observe(now)
	if e.posted.State == status.Success && !e.stateSince.IsZero() {
		e.stateSince = earliest(e.stateSince, e.wantSince) // it was lost before we came to know of it
	}
}

// record notes that c was posted.
func (e *entry) record(c status.Commit, now time.Time) {
	switch {
	case c.Same(e.posted):
		e.shown.posts++ // of its details: the status is the one that is there
	case c.State == e.posted.State:
		e.words++
		e.count++
	default:
		e.words, e.shown.posts = 0, 0
		e.count++
	}
	e.posted, e.postedAt = c, now
	e.rejected, e.rejectedSince = nil, time.Time{}
	e.stateSince, e.wordsSince = time.Time{}, time.Time{}
	e.answered()
	e.observe(now)
}

// answered notes that the forge answered a request about the status.
func (e *entry) answered() {
	e.failures, e.failure, e.since, e.retryAt = 0, nil, time.Time{}, time.Time{}
}

// fail notes that a request about the status failed.
func (e *entry) fail(err error, now time.Time) {
	if e.failures == 0 {
		e.since = now
	}
	e.failures++
	e.failure = err
	e.retryAt = now.Add(backoff(e.failures))
}

// reject notes that the forge does not take the status. It may not know the
// commit yet, as a mirror that lags, so it is tried for as long as it is wanted:
// the longer it was rejected, the longer the pause.
func (e *entry) reject(err error, now time.Time) {
	e.answered()
	if e.rejected == nil {
		e.rejectedSince = now
	}
	e.rejected = err
	e.retryAt = now.Add(min(max(e.rejectedFor()/4, rejectPauseMin), rejectPauseMax))
	if errors.Is(err, status.ErrFull) {
		e.retryAt = now.Add(rejectPauseFull)
	}
}

// rejectedFor is how long the forge has not been taking the status.
func (e *entry) rejectedFor() time.Duration {
	if e.rejected == nil {
		return 0
	}
	return time.Since(e.rejectedSince)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
