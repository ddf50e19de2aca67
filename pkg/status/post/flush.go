package post

import (
	"context"
	"errors"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// Flush posts the wanted statuses and retries failures. It returns when nothing is left
// to post except what the forge rejects. It ends early with the forge's error if the
// credentials are rejected, which a retry does not fix, or when ctx ends. It is for a
// Poster that does not run.
func (p *Poster) Flush(ctx context.Context) error {
	for {
		next := p.turn(ctx)
		failure, behind := p.behind()
		switch {
		case !behind:
			return nil
		case errors.Is(failure, status.ErrUnauthorized):
			return failure
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), failure)
		case <-timer.C:
		}
	}
}

// behind reports whether a wanted status is not posted yet, and the forge's last failure.
func (p *Poster) behind() (failure error, behind bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		// Flush does not wait an hour for a forge to receive a commit.
		if e.rejected == nil && e.waits(p.trim) {
			behind = true
		}
	}
	_, failure = p.failing()
	return failure, behind
}
