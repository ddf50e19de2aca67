package facts

import (
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/watch"
)

// shelf holds, for each object of one kind, the data for the facts.
type shelf[T any] struct {
	kept map[types.NamespacedName]T
	// stale reports that the facts derived from it are outdated.
	stale bool
}

// put stores the data of one object and reports whether it is new.
func (s *shelf[T]) put(key types.NamespacedName, value T) bool {
	if before, ok := s.kept[key]; ok && reflect.DeepEqual(before, value) {
		return false
	}
	if s.kept == nil {
		s.kept = map[types.NamespacedName]T{}
	}
	s.kept[key], s.stale = value, true
	return true
}

// drop forgets an object and reports whether there was one.
func (s *shelf[T]) drop(key types.NamespacedName) bool {
	if _, ok := s.kept[key]; !ok {
		return false
	}
	delete(s.kept, key)
	s.stale = true
	return true
}

// clear forgets all objects and reports whether there were any.
func (s *shelf[T]) clear() bool {
	if len(s.kept) == 0 {
		return false
	}
	s.kept, s.stale = nil, true
	return true
}

// take updates the shelf from a watch event. It stores what read returns, or nothing if
// read returns false.
func (s *shelf[T]) take(e watch.Event, read func(*unstructured.Unstructured) (T, bool)) bool {
	switch e.Type {
	case watch.Upserted:
		value, keep := read(e.Object)
		if !keep {
			return s.drop(watch.KeyOf(e.Object))
		}
		return s.put(watch.KeyOf(e.Object), value)
	case watch.Deleted:
		return s.drop(watch.KeyOf(e.Object))
	case watch.Stopped:
		return s.clear()
	case watch.Listed, watch.Restored, watch.Failed: // an object that cannot be seen is not gone
	}
	return false
}

// takeStale reports whether the facts derived from the shelf must be updated, and resets
// stale.
func (s *shelf[T]) takeStale() bool {
	stale := s.stale
	s.stale = false
	return stale
}
