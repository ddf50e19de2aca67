package facts

import (
	"reflect"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/watch"
)

// View holds the observed state of our objects in one cluster: an Observation of each,
// updated by watch events. It does not retain the objects.
//
// If a cluster stops answering, its last observations stay here; its Probe shows what
// they are worth.
type View struct {
	judge   func(*unstructured.Unstructured) (observation federation.Observation, ours bool)
	changed func()

	mu       sync.Mutex // protects what follows
	seen     map[federation.ObjectRef]seen
	snapshot []federation.Observation // sorted; nil if outdated
}

// seen is an observation and the watch that it came by. Only that watch may remove it,
// because an object can move from one watch's selection to another's.
type seen struct {
	observation federation.Observation
	watch       watch.Watch
}

// NewView returns an empty view. judge observes an object, and reports whether it is
// ours; any other object is left out. changed is called by many goroutines after each
// change of an observation, and must not block; nil is allowed.
func NewView(judge func(*unstructured.Unstructured) (federation.Observation, bool), changed func()) *View {
	if changed == nil {
		changed = func() {}
	}
	return &View{judge: judge, changed: changed, seen: map[federation.ObjectRef]seen{}}
}

// Observe processes a watch event. An event that changes no observation is no change.
func (v *View) Observe(e watch.Event) {
	if v.observe(e) {
		v.changed()
	}
}

func (v *View) observe(e watch.Event) bool {
	switch e.Type {
	case watch.Upserted:
		observation, ours := v.judge(e.Object)
		if !ours {
			return v.drop(federation.RefOf(e.Object), e.Watch)
		}
		return v.put(seen{observation: observation, watch: e.Watch})
	case watch.Deleted:
		return v.drop(federation.RefOf(e.Object), e.Watch)
	case watch.Stopped:
		return v.dropAll(e.Watch)
	case watch.Listed, watch.Restored, watch.Failed:
	}
	return false
}

// Snapshot returns the observations, sorted by reference. The caller may keep the slice
// and must not change it; it stays the same until something changes.
func (v *View) Snapshot() []federation.Observation {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.snapshot == nil {
		v.snapshot = make([]federation.Observation, 0, len(v.seen))
		for _, s := range v.seen {
			v.snapshot = append(v.snapshot, s.observation)
		}
		slices.SortFunc(v.snapshot, func(a, b federation.Observation) int {
			return a.Object.Compare(b.Object)
		})
	}
	return v.snapshot
}

func (v *View) put(s seen) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	ref := s.observation.Object
	before, ok := v.seen[ref]
	v.seen[ref] = s
	if ok && reflect.DeepEqual(before.observation, s.observation) {
		return false
	}
	v.snapshot = nil
	return true
}

func (v *View) drop(ref federation.ObjectRef, by watch.Watch) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s, ok := v.seen[ref]; !ok || s.watch != by {
		return false
	}
	delete(v.seen, ref)
	v.snapshot = nil
	return true
}

func (v *View) dropAll(by watch.Watch) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := len(v.seen)
	for ref, s := range v.seen {
		if s.watch == by {
			delete(v.seen, ref)
		}
	}
	if len(v.seen) == before {
		return false
	}
	v.snapshot = nil
	return true
}
