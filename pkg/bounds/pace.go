package bounds

import (
	"context"
	"net"
	"sync"
	"time"
)

// The share of a processor for the answers of one cluster. A normal cluster sends much
// only when it is connected, and its lists then take somewhat longer. A cluster that
// floods us cannot take the processors from others.
const (
	// freeWork is how long work may take without a pause.
	freeWork = 250 * time.Millisecond
	// workShare is the fraction of the time for work after that.
	workShare = 0.4
	// pageWork is the cost of a further page of a list in addition to its objects, on both
	// sides.
	pageWork = 3 * time.Millisecond
	// byteWork is the most time that a byte can cost, as in small objects. A longer
	// time is spent waiting for a processor or for the reader, and must not count here
	// as well.
	byteWork = 200 * time.Nanosecond
	// longestPause bounds one pause, even if the clock jumps.
	longestPause = 500 * time.Millisecond
)

// pace decides when to pause, by the time spent on the answers of a cluster: from one
// read of a body to the next. It is safe for concurrent use.
type pace struct {
	mu    sync.Mutex    // protects what follows
	spent time.Duration // of freeWork, at the time at
	at    time.Time
}

// work records that work took busy until now, and returns how long to pause.
func (p *pace) work(busy time.Duration, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.at.IsZero() {
		rest := max(0, now.Sub(p.at)-busy)
		p.spent -= time.Duration(float64(rest) * workShare)
	}
	p.at, p.spent = now, max(0, p.spent)+min(busy, longestPause)
	return min(longestPause, time.Duration(float64(p.spent-freeWork)/workShare))
}

// wait waits for pause. It returns an error if ctx ends or the channel is closed
// before.
func wait(ctx context.Context, pause time.Duration, over <-chan struct{}) error {
	if pause <= 0 {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-over:
		return net.ErrClosed
	}
}
