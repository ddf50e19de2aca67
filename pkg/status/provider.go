package status

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Provider tells one forge. It is the plug-in point of this package: a provider
// for another forge stands in a package of its own and must pass
// statustest.Run.
//
// A provider keeps no queue, does not retry, and waits for nothing but the
// forge's answer: the Poster decides when to try again. It is used by one
// goroutine at a time. No error of a provider holds a credential, since errors
// reach the log and the page.
type Provider interface {
	// Name is the forge's, for logs and metrics: "gitea".
	Name() string

	// Limit is the longest description the forge takes, in bytes.
	Limit() int

	// Post records a status. It is safe to repeat: after a crash, or an answer
	// that was lost, the same status is posted again. A description longer than
	// Limit is trimmed, not refused.
	//
	// The error wraps ErrUnauthorized when the forge refuses the credentials,
	// ErrRejected when it does not take this status, and is a
	// *RetryAfterError when the forge says how long to leave it alone. Any other
	// error means that a later try may succeed. When ctx ends Post returns
	// promptly with an error.
	Post(ctx context.Context, c Commit) error

	// List gives what the forge holds for the commit and context, newest first.
	// A forge that keeps only the latest status gives at most one. None is no
	// error, nor is a commit that the forge does not know.
	List(ctx context.Context, sha, context string) ([]Commit, error)
}

// Batcher is implemented by providers to which several statuses cost no more
// than one, because all of them travel in one push.
type Batcher interface {
	Provider

	// PostAll is Post for several statuses at once: all are recorded, or none.
	PostAll(ctx context.Context, commits []Commit) error

	// Interval is the shortest time between two calls of Post or PostAll. The
	// Poster keeps it; of what is wanted meanwhile the newest goes.
	Interval() time.Duration
}

// ErrUnauthorized says that the forge refuses the credentials, or that they do
// not allow to post statuses. A person has to act; the Poster goes on trying at
// its slowest pace, for a token that is replaced works without a restart.
var ErrUnauthorized = errors.New("the forge refuses our credentials")

// ErrRejected says that the forge does not take this status, as for a commit that
// it does not know. A mirror may learn of the commit later, so the Poster goes on
// trying, ever more rarely.
var ErrRejected = errors.New("the forge does not take this status")

// RetryAfterError says that the forge wants to be left alone for a while.
type RetryAfterError struct {
	After time.Duration
	Err   error // what the forge said
}

// Error gives the time and what the forge said.
func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("try again after %s: %v", e.After, e.Err)
}

// Unwrap gives what the forge said.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// RetryAfter reads the HTTP header of that name: seconds, or a date (RFC 9110,
// section 10.2.3). It reports whether there is a time in it.
func RetryAfter(header string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(time.Until(t), 0), true
	}
	return 0, false
}
