package worker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// late maps the folders of apps whose build took so long that all others were rendered
// first to the digests of their files: equal files take as long again. After their
// build succeeded they are no longer late, since the process caches it.
type late map[string]string

const (
	// soon is the fraction of its time limit, as a divisor, that a piece of work may take
	// before it is stopped so that the others go first. On a busy machine, a quarter of
	// that is enough if twice as long has passed by the clock.
	soon = 6
	// sooner is the same if the others can be rendered at the same time, which costs
	// little.
	sooner = 40
	// maxLate is how many apps of a rendering may be postponed. Each costs a
	// process.
	maxLate = 3
)

// in returns the folders of the late apps of a federation.
func (l late) in(files federation.Snapshot, f *federation.Federation) []string {
	var dirs []string
	for _, a := range f.Apps {
		known, ok := l[a.Path]
		if ok && known == digest(files.Files, a.Path) && len(dirs) < min(maxLate, len(f.Apps)-1) {
			dirs = append(dirs, a.Path)
		}
	}
	if len(l) > maxRemembered {
		clear(l)
	}
	return dirs
}

// A tardiness is the reason to kill a process that takes long for one app while the
// others wait, and cannot be rendered at the same time.
type tardiness struct{ app string }

func (t *tardiness) Error() string { return fmt.Sprintf("app %s takes long", t.app) }

// tardy returns the app that must be postponed because its work takes long; nil for
// none.
func (f *following) tardy() *tardiness {
	if !f.steps || f.overtaken != nil || len(f.late) >= min(maxLate, len(f.federation.Apps)-1) {
		return nil
	}
	long := f.time() / soon
	if f.sofar != nil && len(f.late) == 0 {
		long = f.time() / sooner
	}
	app := f.underWay(func(processor, clock time.Duration) bool {
		return processor > long || processor > long/4 && clock > 2*long
	})
	if app != "" {
		return &tardiness{app}
	}
	return nil
}

// underWay returns the folder of an app that is not late and whose work in progress
// takes long; empty for none.
func (f *following) underWay(long func(processor, clock time.Duration) bool) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, processor := time.Now(), f.processor()
	for _, u := range f.under {
		if !long(processor-u.processor, now.Sub(u.at)) {
			continue
		}
		for _, a := range f.federation.Apps {
			if within(u.Dir, a.Path) && !slices.Contains(f.late, a.Path) {
				return a.Path
			}
		}
	}
	return ""
}

// interrupted remembers which app kept a process from stopping: the next revision
// probably has it too.
func (f *following) interrupted() {
	app := f.underWay(func(_, clock time.Duration) bool { return clock > stopTimeout/2 })
	if app != "" && f.steps {
		f.Worker.late[app] = digest(f.snapshot.Files, app)
	}
}

func within(dir, folder string) bool {
	return dir == folder || folder == "." || strings.HasPrefix(dir, folder+"/")
}

// putOff is the reason for an app that is rendered after all others.
const putOff = "it takes long, so the other apps are rendered first"

// forgetLate forgets the late apps that have now been built, and remembers the others.
func (r *rendering) forgetLate(o *outcome) {
	for _, dir := range r.late {
		failed := slices.ContainsFunc(o.bundles, func(b federation.Bundle) bool {
			return b.Err != nil && slices.ContainsFunc(r.federation.Apps, func(a federation.App) bool { return a.Name == b.App && a.Path == dir })
		})
		if failed {
			r.Worker.late[dir] = digest(r.snapshot.Files, dir)
		} else {
			delete(r.Worker.late, dir)
		}
	}
}

// sofar returns an outcome without the findings about late apps.
func (o *outcome) sofar() ([]federation.Bundle, []federation.Finding) {
	return o.bundles, slices.DeleteFunc(slices.Clone(o.findings), func(f federation.Finding) bool { return f.Message.String() == putOff })
}

// partial reports whether an app was postponed.
func (o *outcome) partial() bool {
	return slices.ContainsFunc(o.bundles, func(b federation.Bundle) bool {
		e, ok := errors.AsType[*render.Error](b.Err)
		return ok && e.Reason == putOff
	})
}

// rest returns a rendering for the postponed apps of a revision, in a separate process.
// A newer revision probably kills it while an app takes long; the other process then
// keeps its caches.
func (r *rendering) rest() *rendering {
	return &rendering{
		Worker: r.Worker, snapshot: r.snapshot, federation: r.federation,
		given: len(r.federation.Clusters), ended: r.ended, spent: r.spent, late: nil, beside: true,
	}
}

// stopAtOnce is how long a process that is no longer needed may continue.
const stopAtOnce = time.Millisecond
