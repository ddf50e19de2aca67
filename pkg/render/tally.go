package render

import (
	"fmt"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A tally counts what the clusters of one revision are given.
type tally struct {
	placed int // objects, in all clusters
	builds map[*built]bool
	bytes  int64 // of the objects of builds; once objects is there, of those in it
	// objects are those of builds, each once: overlays share what they do not patch.
	// They are counted when it matters.
	objects map[*federation.Object]bool
}

// add counts what a task gives a cluster. It fails when the revision may not have so
// much.
func (y *tally) add(t task) error {
	b := t.build.built
	if y.placed += len(b.final); y.placed > limit.Rendered {
		return &Error{
			File: t.dir, Exceeds: true,
			Reason: fmt.Sprintf("with app %s here the clusters are given more than %s objects in all", t.app.Name, limit.Number(limit.Rendered)),
			Remedy: "split the repository",
		}
	}
	if !y.builds[b] {
		y.builds[b] = true
		y.count(b)
	}
	if y.bytes > limit.RenderedBytes {
		return &Error{
			File: t.dir, Exceeds: true,
			Reason: fmt.Sprintf("with app %s here the revision has more than %d MiB of objects that differ", t.app.Name, limit.RenderedBytes>>20),
			Remedy: "let overlays patch less, or split the repository",
		}
	}
	return nil
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
			y.bytes += int64(len(o.JSON))
		}
	}
}
