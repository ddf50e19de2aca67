package bell

import (
	"sync"
	"time"
)

// Gather returns a function that combines any number of calls into one call of ring:
// when there was no call for quiet, and at the latest when most has passed since the
// first. Later calls are combined again, so every call is followed by a ring. The
// function never blocks, and ring must not either.
func Gather(ring func(), quiet, most time.Duration) func() {
	g := &gathering{ring: ring, quiet: quiet, most: most}
	return g.call
}

type gathering struct {
	ring        func()
	quiet, most time.Duration

	mu    sync.Mutex  // protects what follows
	until time.Time   // when it rings at the latest; zero if no call is pending
	timer *time.Timer // rings; nil before the first call
}

func (g *gathering) call() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.until.IsZero() {
		g.until = now.Add(g.most)
	}
	pause := min(g.quiet, g.until.Sub(now))
	if g.timer == nil {
		g.timer = time.AfterFunc(pause, g.end)
		return
	}
	g.timer.Reset(pause)
}

func (g *gathering) end() {
	g.mu.Lock()
	gathered := !g.until.IsZero() // otherwise an earlier ring covered the call that restarted the timer
	g.until = time.Time{}
	g.mu.Unlock()
	if gathered {
		g.ring()
	}
}
