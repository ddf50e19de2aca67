package daemon

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A beforeFunc calls use with the revisions before a given one, nearest first, until
// use returns true. See [source.Source.Before].
type beforeFunc func(ctx context.Context, of federation.Revision, use func(federation.Snapshot) bool) error

const (
	// searchTimeout is how long one search may take.
	searchTimeout = time.Minute
	// searchPause is the pause after a search that failed.
	searchPause = 30 * time.Second
)

// fallback is the newest revision before a refused one whose fedsync.yaml can be read.
type fallback struct {
	found *loaded             // nil for none known
	of    federation.Revision // the refused one
}

// search searches for the fallback of a refused revision until it finds one or has read
// all there is. The result depends on the refused revision alone, so a daemon that has
// just started maintains the same revision as a daemon that saw the earlier ones.
func (r *renderings) search(ctx context.Context, of federation.Revision) {
	for {
		found, err := r.searchOnce(ctx, of)
		if ctx.Err() != nil {
			return
		}
		r.add(fallback{found, of})
		switch {
		case found != nil:
			return
		case err == nil:
			r.log.Warn("no earlier revision can be read", zap.Stringer("revision", of))
			return
		}
		r.log.Warn("earlier revisions not read", zap.Stringer("revision", of), zap.Error(err))
		pause := time.NewTimer(searchPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// searchOnce returns nil if there is none.
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
