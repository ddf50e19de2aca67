package post

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/status"
)

const (
	// probeAgain is the pause before the next probe after one that did not succeed.
	probeAgain = time.Minute
)

// refusal is the problem that a probe found, and since when.
type refusal struct {
	err   error // nil while no problem is known
	since time.Time
}

// Probe checks with a provider that is a Prober whether the forge lets it post, until the
// answer is yes or ctx ends. A missing permission is logged once and is among the
// Findings. Probe runs concurrently with Run, and makes its requests between those of the
// Poster.
func (p *Poster) Probe(ctx context.Context) {
	prober, ok := p.provider.(status.Prober)
	for ok && ctx.Err() == nil {
		_, err := ask(ctx, p, func(ctx context.Context) (struct{}, error) { return struct{}{}, prober.Probe(ctx) })
		if ctx.Err() != nil {
			return
		}
		p.probed(err)
		if err == nil {
			return
		}
		again := time.NewTimer(probeAgain)
		select {
		case <-ctx.Done():
		case <-again.C:
		}
		again.Stop()
	}
}

// probed handles the outcome of a probe. One that proves nothing about the credential
// changes nothing.
func (p *Poster) probed(err error) {
	_, isMoved := status.Moved(err)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.refused = refusal{}
	case !errors.Is(err, status.ErrUnauthorized) && !isMoved:
	case p.refused.err == nil:
		p.refused = refusal{err: err, since: time.Now()}
		p.log.Warn("the forge does not accept statuses", zap.Error(err))
	default:
		p.refused.err = err
	}
}

// refusalFinding returns the finding of a probe; none if a post has found the same. The
// caller holds mu.
func (p *Poster) refusalFinding(failure error) []federation.Finding {
	err := p.refused.err
	_, isMoved := status.Moved(failure)
	if err == nil || isMoved || errors.Is(failure, status.ErrUnauthorized) {
		return nil
	}
	f := p.failureFinding(err, p.refused.since)
	f.ID = federation.FindingStatusToken
	if errors.Is(err, status.ErrUnauthorized) {
		f.Message = untrusted.Textf("%s: no status can be posted: %v", p.provider.Name(), err)
	}
	return []federation.Finding{f}
}
