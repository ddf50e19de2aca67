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

// stoppedInARow is how many renderings may be stopped one after the other for a
// newer revision. The next is finished whatever comes, so that a stream of pushes
// ends in one now and then.
const stoppedInARow = 2

// renderings read and render revisions beside the loop, one at a time. The newest
// revision wins: what was not begun is forgotten, and what was begun is stopped.
// None of its methods waits for a file to be read or an object to be rendered.
type renderings struct {
	render preview.RenderFunc
	before beforeFunc // nil where no revision stands in for a refused one
	allow  contexts.Patterns
	log    *zap.Logger
	load   bell.Bell // there is something to load
	begin  bell.Bell // there is something to render
	news   bell.Bell // for the loop: take has something

	mu       sync.Mutex // protects what follows
	unread   *arrival
	wanted   *revision
	leave    func() // ends the search behind a refused revision; nil when there is none
	stop     func() // ends the rendering under way; nil when there is none, or it is to be finished
	progress []any  // what take gives
}

// What renderings tell the loop, in the order in which it happened.
type (
	// arrival is a snapshot that source found.
	arrival struct {
		snapshot federation.Snapshot
		at       time.Time
	}
	// loaded says what an arrival's fedsync.yaml says, or why it is refused.
	loaded struct {
		arrival

		federation *federation.Federation
		err        error
		searching  bool                 // a resort follows
		context    string               // of the commit status, where the file is refused
		policy     []federation.Finding // what the operator does not grant it
	}
	// begun are the bundles of one cluster while others are still being rendered.
	begun struct {
		of      *revision
		cluster federation.Cluster
		bundles []federation.Bundle
	}
	// rendered is the end of a rendering that was not stopped, or what there is of all
	// apps but those that take long.
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

// read has the fedsync.yaml of a snapshot read.
func (r *renderings) read(a arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unread = &a
	if r.leave != nil {
		r.leave()
	}
	r.load.Ring()
}

// want has a revision rendered, and the one before stopped.
func (r *renderings) want(rev *revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wanted = rev
	if r.stop != nil {
		r.stop()
	}
	r.begin.Ring()
}

// take returns what happened since the last call.
func (r *renderings) take() []any {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.progress
	r.progress = nil
	return taken
}

func (r *renderings) tell(what any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = append(r.progress, what)
	r.news.Ring()
}

// run goes on until ctx ends. It does not wait for a file or a build that takes its
// time then.
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
			continue // it came with the ring before
		}
		read := make(chan loaded, 1) // nobody may be there to take it
		go func() { read <- load(*a, r.allow) }()
		late := time.NewTimer(loadTimeout)
		select {
		case <-ctx.Done():
		case l := <-read:
			l.searching = l.err != nil && r.before != nil
			r.tell(l)
			r.searchBehind(ctx, l)
		case <-late.C:
			r.tell(loaded{arrival: *a, err: fmt.Errorf("%s takes longer than a minute to read", federation.FileName)})
			// It is left behind, and another one is read when it has ended.
			select {
			case <-ctx.Done():
			case <-read:
			}
		}
		late.Stop()
	}
}

// searchBehind searches behind a revision that is refused, unless there is a newer one.
func (r *renderings) searchBehind(ctx context.Context, l loaded) {
	if !l.searching {
		return
	}
	its, leave := context.WithCancel(ctx)
	defer leave()
	r.mu.Lock()
	newer := r.unread != nil
	r.leave = leave
	r.mu.Unlock()
	if !newer {
		r.search(its, l.snapshot.Revision)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave = nil
}

func load(a arrival, allow contexts.Patterns) loaded {
	f, err := render.Load(a.snapshot)
	l := loaded{arrival: a, federation: f, err: err}
	if err != nil {
		data, _ := fs.ReadFile(a.snapshot.Files, a.snapshot.FederationFile()) // that it is missing is the error already
		l.context = fedfile.StatusContext(a.snapshot.Folder, data, allow.Allowed)
		return l
	}
	l.policy = allow.Settle(f, a.snapshot.Files)
	return l
}

// renderAll renders the newest revision that is wanted.
func (r *renderings) renderAll(ctx context.Context) {
	stopped := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.begin:
		}
		its, stop := context.WithCancel(ctx)
		r.mu.Lock()
		rev := r.wanted
		r.wanted = nil
		if rev != nil && stopped < stoppedInARow {
			r.stop = stop
		}
		r.mu.Unlock()
		if rev != nil {
			ended := make(chan bool, 1) // nobody may wait for it
			go func() { ended <- r.renderOne(its, rev) }()
			used := false
			select {
			case used = <-ended:
			case <-ctx.Done(): // whoever stops the daemon waits for no build
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

// renderOne reports whether there was an end to tell of, of all or of a part.
func (r *renderings) renderOne(ctx context.Context, rev *revision) (used bool) {
	started := time.Now()
	done := func(bundles []federation.Bundle, findings []federation.Finding, partly bool) {
		if ctx.Err() == nil {
			used = true
			r.tell(rendered{rev, bundles, findings, time.Since(started), partly})
		}
	}
	bundles, findings := r.render(ctx, rev.snapshot, rev.federation, func(c federation.Cluster, bundles []federation.Bundle) {
		if ctx.Err() == nil {
			r.tell(begun{rev, c, bundles})
		}
	}, func(bundles []federation.Bundle, findings []federation.Finding) { done(bundles, findings, true) })
	done(bundles, findings, false)
	return used
}
