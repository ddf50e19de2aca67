package daemon

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/bell"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/preview"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/status/contexts"
)

// loadTimeout is how long reading a fedsync.yaml may take: it is text of at most a
// few megabytes.
const loadTimeout = time.Minute

// stoppedInARow is how many renderings in a row may be stopped for a newer revision.
// The next one is finished in any case, so that a stream of pushes yields a rendering
// now and then.
const stoppedInARow = 2

// renderings read and render revisions outside the loop, one at a time. The newest
// revision wins: older ones are dropped if they were not begun, and stopped if they were.
// No method that the loop calls waits for a file to be read or an object to be rendered.
type renderings struct {
	render preview.RenderFunc
	before beforeFunc // nil for no fallback of a refused revision
	allow  contexts.Patterns
	log    *zap.Logger
	load   bell.Bell // there is something to load
	begin  bell.Bell // there is something to render
	news   bell.Bell // for the loop: take has something

	mu         sync.Mutex // protects what follows
	unread     *arrival
	wanted     *revision
	stopSearch func() // ends the search for a fallback; nil for none
	stop       func() // ends the rendering under way; nil for none, or for one to be finished
	progress   []any  // for take
}

// The steps that renderings report to the loop, in the order in which they happened.
type (
	// arrival is a snapshot that source found.
	arrival struct {
		snapshot federation.Snapshot
		at       time.Time
	}
	// loaded is an arrival with its parsed fedsync.yaml, or why that is refused.
	loaded struct {
		arrival

		federation *federation.Federation
		err        error
		searching  bool                 // a fallback follows
		context    string               // of the commit status, if the file is refused
		policy     []federation.Finding // what the operator does not grant the file
	}
	// begun has the bundles of one cluster while others are still being rendered.
	begun struct {
		of      *revision
		cluster federation.Cluster
		bundles []federation.Bundle
	}
	// rendered is the result of a rendering that was not stopped. If partly is set, slow
	// apps are still missing.
	rendered struct {
		of       *revision
		bundles  []federation.Bundle
		findings []federation.Finding
		took     time.Duration
		partly   bool
	}
)

func newRenderings(render preview.RenderFunc, before beforeFunc, allow contexts.Patterns, log *zap.Logger) *renderings {
	return &renderings{render: render, before: before, allow: allow, log: log, load: bell.New(), begin: bell.New(), news: bell.New()}
}

// read starts reading the fedsync.yaml of a snapshot.
func (r *renderings) read(a arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unread = &a
	if r.stopSearch != nil {
		r.stopSearch()
	}
	r.load.Ring()
}

// want starts rendering a revision, and stops the rendering under way.
func (r *renderings) want(rev *revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = rev
	if r.stop != nil {
		r.stop()
	}
	r.begin.Ring()
}

// take returns the steps since the last call.
func (r *renderings) take() []any {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.progress
	r.progress = nil
	return taken
}

func (r *renderings) add(step any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = append(r.progress, step)
	r.news.Ring()
}

// run runs until ctx ends. It does not wait then for a file or a build that takes long.
func (r *renderings) run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { r.loadAll(ctx) })
	running.Go(func() { r.renderAll(ctx) })
	running.Wait()
}

// loadAll reads one fedsync.yaml after the other.
func (r *renderings) loadAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.load:
		}
		r.mu.Lock()
		a := r.unread
		r.unread = nil
		r.mu.Unlock()
		if a == nil {
			continue // it was taken after the previous ring
		}
		read := make(chan loaded, 1) // room for a result that nobody receives
		go func() { read <- load(*a, r.allow) }()
		late := time.NewTimer(loadTimeout)
		select {
		case <-ctx.Done():
		case l := <-read:
			l.searching = l.err != nil && r.before != nil
			r.add(l)
			r.searchFallback(ctx, l)
		case <-late.C:
			r.add(loaded{arrival: *a, err: fmt.Errorf("%s takes longer than a minute to read", federation.FileName)})
			// It is given up, and the next one is read when it has ended.
			select {
			case <-ctx.Done():
			case <-read:
			}
		}
		late.Stop()
	}
}

// searchFallback searches for the fallback of a refused revision, unless there is a
// newer revision.
func (r *renderings) searchFallback(ctx context.Context, l loaded) {
	if !l.searching {
		return
	}
	searchCtx, stop := context.WithCancel(ctx)
	defer stop()
	r.mu.Lock()
	newer := r.unread != nil
	r.stopSearch = stop
	r.mu.Unlock()
	if !newer {
		r.search(searchCtx, l.snapshot.Revision)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopSearch = nil
}

func load(a arrival, allow contexts.Patterns) loaded {
	f, err := render.Load(a.snapshot)
	l := loaded{arrival: a, federation: f, err: err}
	if err != nil {
		data, _ := fs.ReadFile(a.snapshot.Files, a.snapshot.FederationFile()) // err covers a missing file
		l.context = fedfile.StatusContext(a.snapshot.Folder, data, allow.Allowed)
		return l
	}
	l.policy = allow.Settle(f, a.snapshot.Files)
	return l
}

// renderAll renders the newest wanted revision, again and again.
func (r *renderings) renderAll(ctx context.Context) {
	stopped := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.begin:
		}
		renderCtx, stop := context.WithCancel(ctx)
		r.mu.Lock()
		rev := r.wanted
		r.wanted = nil
		if rev != nil && stopped < stoppedInARow {
			r.stop = stop
		}
		r.mu.Unlock()
		if rev != nil {
			ended := make(chan bool, 1) // room for a result that nobody receives
			go func() { ended <- r.renderOne(renderCtx, rev) }()
			used := false
			select {
			case used = <-ended:
			case <-ctx.Done(): // stopping the daemon does not wait for a build
			}
			stopped++
			if used {
				stopped = 0
			}
		}
		r.mu.Lock()
		r.stop = nil
		r.mu.Unlock()
		stop()
	}
}

// renderOne renders a revision, and reports whether it had a result, of all apps or of
// some.
func (r *renderings) renderOne(ctx context.Context, rev *revision) (used bool) {
	started := time.Now()
	done := func(bundles []federation.Bundle, findings []federation.Finding, partly bool) {
		if ctx.Err() == nil {
			used = true
			r.add(rendered{rev, bundles, findings, time.Since(started), partly})
		}
	}
	bundles, findings := r.render(ctx, rev.snapshot, rev.federation, func(c federation.Cluster, bundles []federation.Bundle) {
		if ctx.Err() == nil {
			r.add(begun{rev, c, bundles})
		}
	}, func(bundles []federation.Bundle, findings []federation.Finding) { done(bundles, findings, true) })
	done(bundles, findings, false)
	return used
}
