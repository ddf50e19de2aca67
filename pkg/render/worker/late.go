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

// late are the apps of which a build took so long that all others were rendered first.
// They have the digest of their folder: equal files take as long again. What was built
// of them is known to the process, and then they are not late.
type late map[string]string

const (
	// soon is what part of its time a piece of work may take before the others go first: it
	// is ended for them. On a busy machine, a part of that is enough when the clock says
	// twice as long.
	soon = 6
	// sooner is the same where the others can be rendered beside it, which costs little.
	sooner = 40
	// maxLate is how many apps of a rendering may be put off. Each costs a process.
	maxLate = 3
)

// in returns the folders of a federation's apps that are late.
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

// A tardiness is what ends a process that builds an app for long while others wait, where
// they cannot be rendered beside it.
type tardiness struct{ app string }

func (t *tardiness) Error() string { return fmt.Sprintf("app %s takes long", t.app) }

// tardy returns the app that is to be put off for what the process does; nil for none.
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

// underWay returns the folder of an app that is not late and of which something has
// been built for long; empty for none.
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

// interrupted remembers what kept a process from stopping when it was told to: the next
// revision is likely to have it as well.
func (f *following) interrupted() {
	app := f.underWay(func(_, clock time.Duration) bool { return clock > stopTimeout/2 })
	if app != "" && f.steps {
		f.Worker.late[app] = digest(f.snapshot.Files, app)
	}
}

func within(dir, folder string) bool {
	return dir == folder || folder == "." || strings.HasPrefix(dir, folder+"/")
}

// putOff is the reason of work that comes after all other.
const putOff = "it takes long, so the other apps are rendered first"

// forgetLate remembers which of the apps that were late have not been built after all.
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

// sofar leaves what is said of the apps that are late out of an outcome.
func (o *outcome) sofar() ([]federation.Bundle, []federation.Finding) {
	return o.bundles, slices.DeleteFunc(slices.Clone(o.findings), func(f federation.Finding) bool { return f.Message.String() == putOff })
}

// partial reports whether something was put off.
func (o *outcome) partial() bool {
	return slices.ContainsFunc(o.bundles, func(b federation.Bundle) bool {
		e, ok := errors.AsType[*render.Error](b.Err)
		return ok && e.Reason == putOff
	})
}

// rest renders a revision of which something was put off, in a process of its own. What
// the other process knows is not lost when a newer revision ends this one, which is most
// likely while something takes long.
func (r *rendering) rest() *rendering {
	return &rendering{
		Worker: r.Worker, snapshot: r.snapshot, federation: r.federation,
		given: len(r.federation.Clusters), ended: r.ended, spent: r.spent, late: nil, beside: true,
	}
}

// stopAtOnce is how long a process may go on that nobody needs.
const stopAtOnce = time.Millisecond
