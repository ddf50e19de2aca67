package watch

import (
	"sync"
	"time"
)

// pace spreads the attempts after failures over all watches of a cluster: if everything
// is refused, many watches send no more requests than few.
type pace struct {
	mu   sync.Mutex // protects full
	full time.Time  // when all taken turns are returned
}

const (
	// turn is what one attempt costs: at most 20 a minute.
	turn = 3 * time.Second
	// turns is how many may be taken at once.
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

// reset returns all turns, because the cluster answers.
func (p *pace) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = time.Time{}
}
