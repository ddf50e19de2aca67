package status

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Provider posts statuses to one forge. It is the plug-in point of this package: a
// provider for another forge is a package of its own and must pass statustest.Run.
//
// A provider has no queue, does not retry, and waits only for the forge's answer: the
// Poster decides when to try again. It is used by one goroutine at a time. No error of a
// provider holds a credential, because errors reach the log and the page.
type Provider interface {
	// Name is the forge's name, for logs and metrics: "gitea".
	Name() string

	// Limit is the longest description that the forge accepts, in bytes.
	Limit() int

	// Post records a status. It is safe to repeat: after a crash, or a lost answer, the
	// same status is posted again. A description longer than Limit is trimmed, not
	// refused.
	//
	// The error wraps ErrUnauthorized if the forge rejects the credentials, wraps
	// ErrRejected if it does not accept this status, and is a *RetryAfterError if the
	// forge asks for a pause. After any other error a later try may succeed. When ctx
	// ends, Post promptly returns an error.
	Post(ctx context.Context, c Commit) error

	// List returns the statuses that the forge has for the commit and context, newest
	// first. A forge that retains only the latest status returns at most one. Neither an
	// empty list nor a commit unknown to the forge is an error.
	List(ctx context.Context, sha, context string) ([]Commit, error)
}

// Batcher is implemented by providers for which several statuses cost no more than one,
// because all of them go in one push.
type Batcher interface {
	Provider

	// PostAll is Post for several statuses at once: all are recorded, or none.
	PostAll(ctx context.Context, commits []Commit) error

	// Interval is the shortest time between two calls of Post or PostAll. The Poster
	// observes it, and sends only the newest of the statuses that arrive within it.
	Interval() time.Duration
}

// ErrUnauthorized means that the forge rejects the credentials, or that they do not
// permit posting statuses. A user has to act. The Poster continues to try at its slowest
// pace, so that a replaced token works without a restart.
var ErrUnauthorized = errors.New("the forge rejects fedsync's credentials")

// ErrRejected means that the forge does not accept this status, for example because it
// does not know the commit. A mirror may receive the commit later, so the Poster
// continues to try, ever more rarely.
var ErrRejected = errors.New("the forge does not accept this status")

// RetryAfterError means that the forge asks for a pause.
type RetryAfterError struct {
	After time.Duration
	Err   error // the forge's answer
}

// Error returns the pause and the forge's answer.
func (e *RetryAfterError) Error() string {
	return fmt.Sprintf("try again after %s: %v", e.After, e.Err)
}

// Unwrap returns the forge's answer.
func (e *RetryAfterError) Unwrap() error { return e.Err }

// RetryAfter parses the HTTP header of that name: seconds, or a date (RFC 9110, section
// 10.2.3). It reports whether the header is valid.
func RetryAfter(header string) (time.Duration, bool) {
	if n, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(n) * time.Second, true
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(time.Until(t), 0), true
	}
	return 0, false
}
