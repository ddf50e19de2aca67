package post

import (
	"context"
	"errors"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
)

// Flush posts what is wanted, tries again what fails, and returns when nothing is
// left to post but what the forge does not take. It ends early with the forge's error when the credentials are
// refused, which trying again does not mend, or when ctx ends. It is for a Poster
// that does not run.
func (p *Poster) Flush(ctx context.Context) error {
	for {
		next := p.pass(ctx)
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

// behind says whether a status is wanted that is not posted, and what the forge
// said last where it failed.
func (p *Poster) behind() (failure error, behind bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		// Nobody waits an hour for a forge to learn of a commit.
		if e.rejected == nil && e.waits(p.trim) {
			behind = true
		}
	}
	_, failure = p.failing()
	return failure, behind
}
