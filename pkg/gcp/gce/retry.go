package gce

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
)

// pace holds how long to wait between attempts and for operations.
type pace struct {
	first, last time.Duration // backoff before the second attempt, and the longest backoff
	total       time.Duration // for all attempts of an action
	question    time.Duration // for all attempts of a read
	operation   time.Duration // for an operation
	poll        time.Duration // minimum time between two reads of an operation
}

// usualPace is the pace for Compute Engine.
var usualPace = pace{
	first: time.Second, last: time.Minute, total: 2 * time.Minute, question: 30 * time.Second,
	operation: 5 * time.Minute, poll: 500 * time.Millisecond,
}

// delay returns how long to wait before the next attempt: a random time up to a bound
// that doubles with each attempt, and never less than the server asks for.
func (p pace) delay(attempts int, after time.Duration) time.Duration {
	bound := min(p.first<<min(attempts-1, 16), p.last)
	return max(after, p.first/2+rand.N(bound)) //nolint:gosec // spreads load
}

// retry repeats the call until its result is not transient, for at most the given time.
func (p pace) retry(ctx context.Context, total time.Duration, call func() error) error {
	end := time.Now().Add(total)
	for attempts := 1; ; attempts++ {
		err := call()
		if err == nil || ctx.Err() != nil {
			return err
		}
		a := readAnswer(err)
		wait := p.delay(attempts, a.after)
		if !a.transient() || time.Now().Add(wait).After(end) {
			return err
		}
		if sleep.For(ctx, wait) != nil {
			return err
		}
	}
}
