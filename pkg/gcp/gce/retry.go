package gce

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fedsync/fedsync/internal/sleep"
)

// pace says how long is waited between attempts and for operations.
type pace struct {
	first, last time.Duration // backoff before the second attempt, and the longest
	total       time.Duration // of all attempts of an action
	question    time.Duration // of all attempts of a question
	operation   time.Duration // for an operation
	poll        time.Duration // least time between two questions for an operation
}

// usualPace is that of Compute Engine.
var usualPace = pace{
	first: time.Second, last: time.Minute, total: 2 * time.Minute, question: 30 * time.Second,
	operation: 5 * time.Minute, poll: 500 * time.Millisecond,
}

// delay is how long to wait before the next attempt, after so many: any time up to a
// bound that doubles, and never less than the server asks for.
func (p pace) delay(attempts int, after time.Duration) time.Duration {
	bound := min(p.first<<min(attempts-1, 16), p.last)
	return max(after, p.first/2+rand.N(bound)) //nolint:gosec // spreads load
}

// retry calls until there is an answer that a repeat would not change, at most for the
// given time.
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
