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
	// probeAgain is how long after a probe that did not succeed the next one is.
	probeAgain = time.Minute
)

// refusal is what a probe found wrong, and since when.
type refusal struct {
	err   error // nil while nothing is known to be wrong
	since time.Time
}

// Probe asks a provider that is a Prober whether the forge lets it post, until that says
// yes or ctx ends. What it lacks is logged once and is among the Findings. It runs beside
// Run, and makes its requests between those of the Poster.
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

// probed takes the outcome of a probe. One that says nothing of the credential leaves
// what is known as it is.
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
		p.log.Warn("the forge will not take statuses", zap.Error(err))
	default:
		p.refused.err = err
	}
}

// refusalFinding is about what a probe found; none where a post has found the same. The
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
