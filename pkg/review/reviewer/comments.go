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

// comments are the comments that the forge is known to show on pull requests. An unknown
// comment is read from the forge, and read again if the pull request has changed since then,
// for example because a user edited or deleted the comment.
type comments struct {
	shown    map[int64]shownComment // by number
	versions map[int64]string       // of the open pull requests
	retryAt  map[int64]time.Time
	pause    time.Time // no comment is tried until then
}

// shownComment is a comment that the forge showed.
type shownComment struct {
	digest  [sha256.Size]byte
	at      time.Time
	version string // of the pull request at that time
}

func newComments() comments {
	return comments{shown: map[int64]shownComment{}, retryAt: map[int64]time.Time{}}
}

// due returns the number of the pull request whose comment is to be checked and posted now,
// the newest first. If there is none, it returns 0 and when the next one is due.
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
			// fedsync's own comment changes the version, too, as do all other comments.
			if next := last.at.Add(commentCheck); next.After(until) {
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

// made records the result of posting a comment.
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

// retain records the open pull requests, and forgets all others.
func (c *comments) retain(open []status.PullRequest) {
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
