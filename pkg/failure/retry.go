package failure

import (
	"math/rand/v2"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Retry is what another try of a failed request has to wait for.
type Retry string

// What another try has to wait for.
const (
	// RetrySoon means that the fault may be temporary.
	RetrySoon Retry = "soon"
	// RetryTold means that the server names the time, or answers when it gets fewer
	// requests.
	RetryTold Retry = "told"
	// RetryChanged means that a user has to change something first, which may not be
	// announced.
	RetryChanged Retry = "changed"
)

// RetryOf returns what another try has to wait for after a failure of this class.
func RetryOf(class federation.FailureClass) Retry {
	switch class {
	case federation.FailureThrottled:
		return RetryTold
	case federation.FailureTLS, federation.FailureUnauthorised, federation.FailureForbidden,
		federation.FailureInvalid, federation.FailureContext, federation.FailureFiles, federation.FailureMisbehaves:
		return RetryChanged
	case federation.FailureNone, federation.FailureDNS, federation.FailureRefused, federation.FailureTimeout,
		federation.FailureNetwork, federation.FailureServer, federation.FailureConflict:
	}
	return RetrySoon
}

// The pauses between two tries grow from the first to the last.
const (
	firstPause = 500 * time.Millisecond
	lastPause  = 30 * time.Second
	// A user's change takes effect within a minute.
	firstChanged = 5 * time.Second
	lastChanged  = 45 * time.Second
)

// Pause returns how long to wait after this failure, the failures-th in a row, starting
// with 1. It is never shorter than the server asked for. It varies by a fifth, so that
// requests that failed together are not repeated together.
func (f Failure) Pause(failures int) time.Duration {
	pause, last := firstPause, lastPause
	if RetryOf(f.Class) == RetryChanged {
		pause, last = firstChanged, lastChanged
	}
	for i := 1; i < failures && pause < last; i++ {
		pause *= 2
	}
	pause = min(pause, last)
	pause = pause*4/5 + time.Duration(rand.Int64N(int64(pause)*2/5+1))
	if f.RetryAfter > pause {
		// All clients were given the same time.
		pause = f.RetryAfter + time.Duration(rand.Int64N(int64(f.RetryAfter)/5+1))
	}
	return pause
}
