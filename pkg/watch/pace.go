package watch

import (
	"sync"
	"time"
)

// pace spreads the attempts that follow failures over all watches of a cluster:
// where everything is refused, many watches ask no more often than few.
type pace struct {
	mu   sync.Mutex // protects full
	full time.Time  // when all turns that were taken are given back
}

const (
	// turn is what one attempt costs: at most 20 a minute.
	turn = 3 * time.Second
	// turns are how many may be taken at once.
	turns = 10
)

// take takes a turn and returns how long to wait for it.
func (p *pace) take() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.full.Before(now) {
		p.full = now
	}
	p.full = p.full.Add(turn)
	return max(0, p.full.Sub(now)-turns*turn)
}

// reset gives all turns back: the cluster answers.
func (p *pace) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = time.Time{}
}
