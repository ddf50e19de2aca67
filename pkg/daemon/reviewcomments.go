package daemon

import (
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// comments are what the forge is known to show on pull requests: what is not known here is
// asked of it, once.
type comments struct {
	shown   map[int64][sha256.Size]byte // by number
	retryAt map[int64]time.Time
	pause   time.Time // none is tried until then
}

func newComments() comments {
	return comments{shown: map[int64][sha256.Size]byte{}, retryAt: map[int64]time.Time{}}
}

// due gives a comment that is to be made now, the newest pull request's first, or when one
// is; number 0 for none.
func (c *comments) due(wanted map[int64]string, now time.Time) (number int64, text string, at time.Time) {
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(wanted))) {
		if shown, ok := c.shown[n]; ok && shown == sha256.Sum256([]byte(wanted[n])) {
			continue
		}
		until := c.retryAt[n]
		if c.pause.After(until) {
			until = c.pause
		}
		if !until.After(now) {
			return n, wanted[n], time.Time{}
		}
		if at.IsZero() || until.Before(at) {
			at = until
		}
	}
	return 0, "", at
}

// made takes what came of one.
func (c *comments) made(number int64, text string, err error, now time.Time) {
	delete(c.retryAt, number)
	if err == nil {
		c.shown[number] = sha256.Sum256([]byte(text))
		return
	}
	c.retryAt[number] = now.Add(commentPause)
	if wait, ok := errors.AsType[*status.RetryAfterError](err); ok {
		c.pause = now.Add(min(max(wait.After, 0), time.Hour))
	} else if errors.Is(err, status.ErrUnauthorized) {
		c.pause = now.Add(commentPause)
	}
}

// keep forgets all but these.
func (c *comments) keep(numbers map[int64]bool) {
	maps.DeleteFunc(c.shown, func(n int64, _ [sha256.Size]byte) bool { return !numbers[n] })
	maps.DeleteFunc(c.retryAt, func(n int64, _ time.Time) bool { return !numbers[n] })
}
