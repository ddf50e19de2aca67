package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/status"
)

// flushTimeout is longer than the Poster delays the change of an outcome.
const flushTimeout = 90 * time.Second

// errDuplicate keeps a single sync from taking the clusters over from a daemon, which
// would then stop writing for good.
var errDuplicate = errors.New("another fedsync already syncs this repository on this machine: push to the repository, or stop that process first")

// RunOnce brings one revision to the clusters, and waits until it is live or has
// failed and its commit status is posted. The report is nil if nothing could be
// read. If ctx ends early, the report describes the state so far.
func (d *Daemon) RunOnce(ctx context.Context) (*status.Report, error) {
	defer d.Close()
	if d.duplicate {
		return nil, errDuplicate
	}
	snapshot, err := d.source.Snapshot(ctx, d.cfg.Revision)
	if err != nil {
		return nil, err
	}
	d.events.put(source.Event{Snapshot: &snapshot})

	running, stop := context.WithCancel(ctx)
	defer stop()
	var posting sync.WaitGroup // and maintaining the claim
	for _, p := range d.posters() {
		posting.Go(func() { p.Run(running) })
	}
	posting.Go(func() { d.claims.Run(running) })
	loopCtx, settled := context.WithCancel(running)
	defer settled()
	l := newLoop(d, false)
	l.renderings.before = nil // no fallback: this revision or none
	l.onReport = func(r *status.Report) {
		// A mistake in the repository fails the commit at once. A refusal by a
		// cluster is retried as long as that may help.
		if r.State == status.Success ||
			r.State == status.Failure && (l.newest != l.live || l.members.settled()) {
			settled()
		}
	}
	l.run(loopCtx)
	l.members.wait()
	stop()
	posting.Wait()
	// A forge that is away must not hold up the caller.
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	for _, p := range d.posters() {
		if err := p.Flush(flush); err != nil {
			d.log.Warn("commit status not posted", zap.Error(err))
		}
	}
	report := d.reports.Newest()
	if err := ctx.Err(); err != nil {
		return report, fmt.Errorf("settle %s: %w", snapshot.Revision, err)
	}
	if report == nil {
		return nil, errors.New("nothing was reported")
	}
	return report, nil
}
