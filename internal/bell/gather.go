package bell

import (
	"sync"
	"time"
)

// Gather returns a function that may be called any number of times in a row, and that
// has ring called once for all of them: when no call came for quiet, and at the latest
// when most has passed since the first. What is called after that is gathered anew, so
// that no call is without a later ring. It never blocks, and ring must not either.
func Gather(ring func(), quiet, most time.Duration) func() {
	g := &gathering{ring: ring, quiet: quiet, most: most}
	return g.call
}

type gathering struct {
	ring        func()
	quiet, most time.Duration

	mu    sync.Mutex  // protects what follows
	until time.Time   // when it rings at the latest; zero where nothing was gathered
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
	gathered := !g.until.IsZero() // else a call came while the timer ended, and it rang for that too
	g.until = time.Time{}
	g.mu.Unlock()
	if gathered {
		g.ring()
	}
}
