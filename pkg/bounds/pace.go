package bounds

import (
	"context"
	"net"
	"sync"
	"time"
)

// What may be used of a processor for what one cluster sends. A cluster that is honest
// sends much only when it is connected, and is listed somewhat later; one that floods us
// leaves the processors to the others.
const (
	// freeWork is how long may be worked at once without a pause.
	freeWork = 250 * time.Millisecond
	// workShare is how much of the time may be worked after that.
	workShare = 0.4
	// pageWork is what a further page of a list costs besides its objects, here and there.
	pageWork = 3 * time.Millisecond
	// byteWork is the most that a byte can cost, as of small objects: what takes longer
	// waits for a processor, or for whoever reads, and must not wait here as well.
	byteWork = 200 * time.Nanosecond
	// longestPause bounds one pause, whatever the clock says.
	longestPause = 500 * time.Millisecond
)

// pace says when to pause, by how long the answers of a cluster kept us busy: from one
// read of a body to the next. It is safe for concurrent use.
type pace struct {
	mu    sync.Mutex    // protects what follows
	spent time.Duration // of freeWork, at that time
	at    time.Time
}

// work takes down that we were busy until now, and returns how long to pause.
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

// wait waits so long, or until ctx ends or the channel is closed, which is an error.
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
