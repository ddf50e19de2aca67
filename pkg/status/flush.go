package status

import (
	"context"
	"errors"
	"time"
)

// Flush posts what is wanted, tries again what fails, and returns when nothing is
// left to post. It ends early with the forge's error when the credentials are
// refused, which trying again does not mend, or when ctx ends. It is for a Poster
// that does not run.
func (p *Poster) Flush(ctx context.Context) error {
	for {
		next := p.pass(ctx)
		failure, behind := p.behind()
		switch {
		case !behind:
			return nil
		case errors.Is(failure, ErrUnauthorized):
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
		if _, _, wanted := e.due(p.trim); wanted || !e.listed {
			return p.failure, true
		}
	}
	return nil, false
}
