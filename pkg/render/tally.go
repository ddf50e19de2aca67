package render

import (
	"fmt"
	"slices"
	"sync"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// A tally counts what one revision builds, and what its clusters get.
type tally struct {
	mu       sync.Mutex // protects what follows
	placed   int        // objects in all clusters together
	mistakes int        // in builds, reported or not
	builds   map[*built]bool
	taken    int   // objects that kustomize built or patched
	bytes    int64 // of the objects of builds; when objects is not nil, of those in it
	// objects is the set of built objects, since overlays share what they do not
	// patch. It is filled only when the total with duplicates exceeds the limit.
	objects map[*federation.Object]bool
}

// place counts the objects that a task adds to a cluster. It returns an error if
// the revision exceeds the limit with them.
func (y *tally) place(t task) error {
	b := t.build.built
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.placed += len(b.final); y.placed > limit.Rendered {
		return &Error{
			File: t.dir, Exceeds: true,
			Reason: fmt.Sprintf("with app %s here, the clusters have more than %s objects in total", t.app.Name, limit.Number(limit.Rendered)),
			Remedy: "split the repository",
		}
	}
	return nil
}

// add counts a build, also one from the cache.
func (y *tally) add(b *built) error {
	y.mu.Lock()
	if !y.builds[b] {
		y.builds[b] = true
		y.taken += b.taken
		y.count(b)
	}
	y.mu.Unlock()
	return y.full(b.dir)
}

// full returns an error if the revision has exceeded a limit, so that nothing
// more must be built.
func (y *tally) full(dir string) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	switch {
	case y.taken > limit.Kustomized:
		return &Error{
			File: dir, Exceeds: true,
			Reason: fmt.Sprintf("with this folder, kustomize builds and patches more than %s objects of the revision", limit.Number(limit.Kustomized)),
			Remedy: "make overlays smaller than their base, patch less, or split the repository",
		}
	case y.bytes <= limit.RenderedBytes:
		return nil
	}
	return &Error{
		File: dir, Exceeds: true,
		Reason: fmt.Sprintf("with this folder, the revision has more than %d MiB of distinct objects, each counted as its size plus %d bytes", limit.RenderedBytes>>20, objectBytes),
		Remedy: "patch less in overlays, or split the repository",
	}
}

func (y *tally) count(b *built) {
	if y.objects != nil {
		y.countObjects(b)
		return
	}
	if y.bytes += b.size; y.bytes <= limit.RenderedBytes {
		return
	}
	y.bytes, y.objects = 0, map[*federation.Object]bool{}
	for known := range y.builds {
		y.countObjects(known)
	}
}

func (y *tally) countObjects(b *built) {
	for _, o := range b.raw {
		if !y.objects[o] {
			y.objects[o] = true
			y.bytes += weight(o)
		}
	}
}

// objectBytes is what an object counts in addition to its JSON, in bytes: it costs
// time and memory that do not depend on its content.
const objectBytes = 600

func weight(o *federation.Object) int64 { return objectBytes + int64(len(o.JSON)) }

// blame counts the mistakes of a folder's build, and cuts its error to the
// mistakes that the revision may still report.
func (y *tally) blame(dir string, err error) error {
	all := manifest.Flat([]error{err})
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.mistakes += len(all); y.mistakes <= limit.Gathered || len(all) <= limit.Names {
		return err
	}
	return manifest.Join(append(slices.Clip(all[:limit.Names]), &Error{File: dir, Reason: limit.More(len(all)-limit.Names) + " mistakes"}))
}

// blamed reports whether the revision has so many mistakes that only the first ones
// of a build are reported.
func (y *tally) blamed() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.mistakes > limit.Gathered
}
