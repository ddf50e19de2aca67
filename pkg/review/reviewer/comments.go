package reviewer

import (
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/review"
	"github.com/fedsync/fedsync/pkg/status"
)

// comments are what the forge is known to show on pull requests: what is not known here is
// asked of it, once, and again where a pull request was changed since, as it is when
// somebody edits or deletes our comment.
type comments struct {
	shown    map[int64]shownComment // by number
	versions map[int64]string       // of the pull requests that are open
	retryAt  map[int64]time.Time
	pause    time.Time // none is tried until then
}

// shownComment is a comment as the forge had it.
type shownComment struct {
	digest  [sha256.Size]byte
	at      time.Time
	version string // of the pull request, before
}

func newComments() comments {
	return comments{shown: map[int64]shownComment{}, retryAt: map[int64]time.Time{}}
}

// due gives the number of the pull request whose comment is to be looked at and made now,
// the newest first, or when one is; 0 for none.
func (c *comments) due(wanted map[int64]review.Comment, now time.Time) (number int64, at time.Time) {
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(wanted))) {
		until := c.pause
		if c.retryAt[n].After(until) {
			until = c.retryAt[n]
		}
		if last, ok := c.shown[n]; ok && last.digest == wanted[n].Digest() {
			if last.version == c.versions[n] {
				continue
			}
			// Our own comment is a change, too, and so is what others write.
			if next := last.at.Add(commentLook); next.After(until) {
				until = next
			}
		}
		if !until.After(now) {
			return n, time.Time{}
		}
		if at.IsZero() || until.Before(at) {
			at = until
		}
	}
	return 0, at
}

// made takes what came of one.
func (c *comments) made(number int64, comment review.Comment, err error, now time.Time) {
	delete(c.retryAt, number)
	if err == nil {
		c.shown[number] = shownComment{digest: comment.Digest(), at: now, version: c.versions[number]}
		return
	}
	c.retryAt[number] = now.Add(commentPause)
	if wait, ok := errors.AsType[*status.RetryAfterError](err); ok {
		c.pause = now.Add(min(max(wait.After, 0), time.Hour))
	} else if errors.Is(err, status.ErrUnauthorized) {
		c.pause = now.Add(commentPause)
	}
}

// keep takes what is open, and forgets all others.
func (c *comments) keep(open []status.PullRequest) {
	c.versions = map[int64]string{}
	for _, pr := range open {
		if !pr.Queued {
			c.versions[pr.Number] = pr.Version
		}
	}
	gone := func(n int64) bool { _, ok := c.versions[n]; return !ok }
	maps.DeleteFunc(c.shown, func(n int64, _ shownComment) bool { return gone(n) })
	maps.DeleteFunc(c.retryAt, func(n int64, _ time.Time) bool { return gone(n) })
}
