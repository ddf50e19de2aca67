package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A beforeFunc calls use with the revisions that one has behind it, the nearest first,
// until use returns true. See [source.Source.Before].
type beforeFunc func(ctx context.Context, of federation.Revision, use func(federation.Snapshot) bool) error

const (
	// searchTimeout is how long the search behind one revision may take.
	searchTimeout = time.Minute
	// searchPause is between two searches, of which the first failed.
	searchPause = 30 * time.Second
)

// resort is the newest revision behind a refused one whose fedsync.yaml can be read; nil
// where none is known.
type resort struct {
	found *loaded
	of    federation.Revision // the one that is refused
}

// search looks for the resort of a refused revision until it has looked at all there is.
// It depends on the refused revision alone, so that a daemon which has just started
// maintains what one maintains that has seen the revisions before.
func (r *renderings) search(ctx context.Context, of federation.Revision) {
	for {
		found, err := r.searchOnce(ctx, of)
		if ctx.Err() != nil {
			return
		}
		r.tell(resort{found, of})
		switch {
		case found != nil:
			return
		case err == nil:
			r.log.Warn("no revision before it can be read", zap.Stringer("revision", of))
			return
		}
		r.log.Warn("revisions before it not read", zap.Stringer("revision", of), zap.Error(err))
		pause := time.NewTimer(searchPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// searchOnce returns nil where there is none.
func (r *renderings) searchOnce(ctx context.Context, of federation.Revision) (found *loaded, err error) {
	timed, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	err = r.before(timed, of, func(s federation.Snapshot) bool {
		if l := load(arrival{s, time.Now()}, r.allow); l.err == nil {
			found = &l
		}
		return found != nil
	})
	return found, err
}
