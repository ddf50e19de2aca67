package member

import (
	"sync"
	"time"

	"github.com/fedsync/fedsync/internal/bell"
)

// asker makes one request at a time, outside the loop, with pauses that grow while it
// fails.
type asker struct {
	mu       sync.Mutex // protects the fields below
	asking   bool
	failures int
	at       time.Time // when the next request may be made
}

// ask makes the request in its own goroutine and rings done afterwards, unless a
// request is under way. During a pause it makes none, and returns the end of the pause.
func (a *asker) ask(running *sync.WaitGroup, now time.Time, request func() error, done bell.Bell) (next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.asking:
		return time.Time{}
	case now.Before(a.at):
		return a.at
	}
	a.asking = true
	running.Go(func() {
		a.answered(request())
		done.Ring()
	})
	return time.Time{}
}

func (a *asker) answered(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking = false
	if err == nil {
		a.failures, a.at = 0, time.Time{}
		return
	}
	pause := askPauseFirst << min(a.failures, 10)
	a.failures++
	a.at = time.Now().Add(min(pause, askPauseLast))
}

// reset ends the pause.
func (a *asker) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failures, a.at = 0, time.Time{}
}
