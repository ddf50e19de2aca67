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

// forever is a pause that only a new wish ends.
const forever = time.Duration(math.MaxInt64)

// keptSuperseded is how many superseded statuses wait for a forge that does not answer.
const keptSuperseded = 200

// superseded is the prefix of a commit's last description.
const superseded = "superseded by "

// key identifies a status.
type key struct{ sha, context string }

// entry is one status: the wanted and the posted one.
type entry struct {
	sequence uint64
	want     status.Commit // State is empty if the forge is only asked about the commit
	by       string        // the revision that superseded the commit; empty while none has
	byTime   time.Time     // when it did

	branch    bool      // of a revision of the branch: it survives a restart
	resting   bool      // an earlier process wanted it, and this one has not confirmed it
	wantSince time.Time // since when it has been wanted as a success, or not as one
	ifPending bool      // it is superseded only if the posted state is pending

	listed   bool // the posted status is known
	unsure   bool // it was, but the last post may have succeeded although it failed here
	posted   status.Commit
	postedAt time.Time
	count    int // posts so far
	words    int // posts since the state changed that changed only words

	stateSince time.Time // since when the wanted state has not been the posted one
	wordsSince time.Time // since when only the wanted words have not been the posted ones

	shown shown

	alone bool // not to be posted together with other statuses

	failures int       // of requests about it, in a row
	failure  error     // the last of them; nil when the last request was answered
	since    time.Time // of the first of them
	retryAt  time.Time // no request about it before

	rejected      error     // why the forge does not accept it; nil if it did, or was not asked
	rejectedSince time.Time // of the first rejection in a row
}

// task is the next request to the forge.
type task struct {
	list *key
	post []status.Commit
}

func (t task) empty() bool { return t.list == nil && len(t.post) == 0 }

// entry returns the entry of a status as the newest, and adds it if there is none. The
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

// next returns the newest task that is due, or the time until one is. Statuses of
// superseded commits come last.
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
		case !wanted && e.isPosted() && e.shown.asked:
			wait = min(wait, max(0, e.shown.compareAt(e.postedAt).Sub(now)))
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

// paced returns the commits as a task when a batcher's pause is over.
func (p *Poster) paced(now time.Time, posts []status.Commit) (task, time.Duration) {
	if p.batcher != nil && now.Before(p.pauseEnd) {
		return task{}, p.pauseEnd.Sub(now)
	}
	return task{post: posts}, 0
}

// order returns the entries in the order of requests: the newest first, those of
// superseded commits last. While the forge fails, the entry with the fewest failures goes
// first, so that a request that always hangs does not block the rest.
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

// forget drops the oldest superseded statuses that still wait, so that a forge that never
// returns does not fill the memory. The caller holds mu.
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

// observe records since when the wanted status differs from the posted one.
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

// due returns the status to post and when; the time may have passed. The last result is
// false if nothing should or may be posted.
func (e *entry) due(trim func(string) string) (status.Commit, time.Time, bool) {
	if e.by != "" {
		return e.last(trim), e.retryAt, !e.finished()
	}
	if e.resting {
		return status.Commit{}, time.Time{}, false
	}
	if e.isPosted() {
		return e.want, e.retryAt, e.shown.changed
	}
	if e.want.State == "" || e.count >= budget {
		return status.Commit{}, time.Time{}, false
	}
	// The last post is reserved for the commit's last status, unless it gets the commit
	// out of pending.
	if e.count == budget-1 && (e.posted.State != status.Pending || e.want.State == status.Pending) {
		return status.Commit{}, time.Time{}, false
	}
	return e.want, latest(e.earliest(), e.retryAt), true
}

// isPosted reports whether the wanted status is posted already, apart from its details.
func (e *entry) isPosted() bool {
	return e.by == "" && !e.resting && e.listed && e.want.State != "" && e.want.Same(e.posted)
}

// waits reports whether a status is wanted that is not known to be posted.
func (e *entry) waits(trim func(string) string) bool {
	_, _, wanted := e.due(trim)
	return wanted || !e.listed && (!e.resting || e.by != "")
}

// earliest returns when the wanted status may be posted. A change back from an outcome is
// delayed, so that a flap does not show; a change towards one is immediate. Changes of
// only the words, such as a count or a duration, come ever more rarely.
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

// last returns the final status of a superseded commit.
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
		c.State, words = status.Success, " · was: "
	case status.Failure:
		c.State, words = status.Failure, " · had failed: "
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

// finished reports whether a superseded commit needs no further status.
func (e *entry) finished() bool {
	if !e.listed {
		return false
	}
	nothing := e.posted.State == "" && e.want.State == "" || e.ifPending && e.posted.State != status.Pending
	done := e.posted.Superseded || strings.HasPrefix(e.posted.Description, superseded)
	return nothing || done || e.count >= budget
}

// learn takes the forge's statuses, newest first.
func (e *entry) learn(posted []status.Commit, now time.Time) {
	e.count = len(posted)
	if len(posted) == 0 {
		return
	}
	e.posted = posted[0]
	e.postedAt = earliest(posted[0].Time, now) // the forge's clock may be ahead
	e.posted.Time = time.Time{}
	// Another instance posted after the process that wanted this.
	if e.resting && e.posted.State != status.Pending && e.postedAt.After(e.wantSince) {
		e.want = status.Commit{}
	}
	e.observe(now)
	if e.posted.State == status.Success && !e.stateSince.IsZero() {
		e.stateSince = earliest(e.stateSince, e.wantSince) // the success was lost before we noticed
	}
}

// record records that c was posted.
func (e *entry) record(c status.Commit, now time.Time) {
	switch {
	case c.Same(e.posted):
		e.shown.posts++ // only the details changed
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

// answered records that the forge answered a request about the status.
func (e *entry) answered() {
	e.failures, e.failure, e.since, e.retryAt = 0, nil, time.Time{}, time.Time{}
}

// fail records that a request about the status failed.
func (e *entry) fail(err error, now time.Time) {
	if e.failures == 0 {
		e.since = now
	}
	e.failures++
	e.failure = err
	e.retryAt = now.Add(backoff(e.failures))
}

// reject records that the forge does not accept the status. It may not know the commit
// yet, as a lagging mirror, so the Poster retries for as long as the status is wanted,
// with ever longer pauses.
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

// rejectedFor returns how long the forge has been rejecting the status.
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
