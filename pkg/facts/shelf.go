package facts

import (
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/watch"
)

// shelf keeps, of each object of one kind, what the facts are made of.
type shelf[T any] struct {
	kept map[types.NamespacedName]T
	// stale says that what was made of it last is no longer right.
	stale bool
}

// put keeps what one object gives and says whether that is new.
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

// drop forgets an object and says whether there was one.
func (s *shelf[T]) drop(key types.NamespacedName) bool {
	if _, ok := s.kept[key]; !ok {
		return false
	}
	delete(s.kept, key)
	s.stale = true
	return true
}

// clear forgets all objects and says whether there were any.
func (s *shelf[T]) clear() bool {
	if len(s.kept) == 0 {
		return false
	}
	s.kept, s.stale = nil, true
	return true
}

// take updates the shelf by a watch event: of an object is kept what read gives,
// or nothing where it says false.
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
	case watch.Listed, watch.Restored, watch.Failed: // what cannot be seen is not gone
	}
	return false
}

// freshen says whether what was made of the shelf must be made anew, and takes it
// as done.
func (s *shelf[T]) freshen() bool {
	stale := s.stale
	s.stale = false
	return stale
}
