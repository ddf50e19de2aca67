package schedule

import (
	"slices"

	"github.com/fedsync/fedsync/pkg/federation"
)

// library caches what was read from objects. What concerns the schedule is mostly the
// same in every cluster, even if the objects differ otherwise. Such objects share one
// reading, and what follows from it is computed one time.
type library struct {
	bundles  map[key]contents                // what the last plan read
	objects  map[*federation.Object]*reading // what was read since then
	readings map[statement]*reading
	marks    map[key]marked // of the last plan
}

// contents is what was read in a bundle.
type contents struct {
	objects  []*federation.Object
	readings []*reading // by index of the object
}

func newLibrary() *library {
	return &library{objects: map[*federation.Object]*reading{}, readings: map[statement]*reading{}}
}

// read returns the contents of a bundle.
func (l *library) read(k key, objects []*federation.Object) contents {
	if c := l.bundles[k]; slices.Equal(c.objects, objects) {
		return c
	}
	c := contents{slices.Clone(objects), make([]*reading, len(objects))}
	for i, o := range objects {
		c.readings[i] = l.reading(o)
	}
	return c
}

func (l *library) reading(o *federation.Object) *reading {
	if r := l.objects[o]; r != nil {
		return r
	}
	r := newReading(o)
	if r != nothing {
		if same := l.readings[r.statement]; same != nil {
			r = same
		} else {
			l.readings[r.statement] = r
		}
	}
	l.objects[o] = r
	return r
}

// retain retains what a complete plan read, and drops the rest.
func (l *library) retain(read map[key]contents) {
	l.bundles = read
	if len(l.objects) == 0 {
		return // nothing is new, and few readings can be unused
	}
	clear(l.objects)
	clear(l.readings)
	known := map[*reading]bool{nothing: true}
	for _, c := range read {
		for _, r := range c.readings {
			if !known[r] {
				known[r] = true
				l.readings[r.statement] = r
			}
		}
	}
}
