package worker

import (
	"errors"
	"fmt"
	"io"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A store has the objects and lists that a process has given, by the ids that it
// gave them: those of the last two renderings. The process forgets by the same rule.
type store struct {
	generation uint64
	objects    map[uint64]*storedObject
	lists      map[uint64]*storedList
	fresh      int64            // bytes of the objects that came in this rendering
	errors     map[uint64]error // that came in this rendering
}

type storedObject struct {
	*federation.Object

	used uint64
}

type storedList struct {
	objects []*federation.Object
	stored  []*storedObject
	used    uint64
}

// maxFresh bounds the objects of one rendering, in bytes. The renderer has a
// smaller limit, with a reason for people; this one is for a process that lies.
const maxFresh = 256 << 20

func newStore() *store {
	return &store{objects: map[uint64]*storedObject{}, lists: map[uint64]*storedList{}}
}

// turn begins a rendering.
func (s *store) turn() {
	s.generation++
	s.fresh = 0
	s.errors = map[uint64]error{}
	for id, l := range s.lists {
		if l.used+2 < s.generation {
			delete(s.lists, id)
		}
	}
	for id, o := range s.objects {
		if o.used+2 < s.generation {
			delete(s.objects, id)
		}
	}
}

// failure returns an error that was given.
func (s *store) failure(id uint64) (given, err error) {
	given, ok := s.errors[id]
	if !ok {
		return nil, errors.New("it names an error that it did not give")
	}
	return given, nil
}

// get returns a list that was given.
func (s *store) get(id uint64) ([]*federation.Object, error) {
	if id == 0 {
		return nil, nil
	}
	l, ok := s.lists[id]
	if !ok {
		return nil, errors.New("it names a list that it did not give")
	}
	if l.used != s.generation {
		l.used = s.generation
		for _, o := range l.stored {
			o.used = s.generation
		}
	}
	return l.objects, nil
}

// put takes a list, and the objects that stand behind its frame.
func (s *store) put(l list, behind io.Reader) error {
	if _, twice := s.lists[l.ID]; twice || l.ID == 0 {
		return errors.New("it gives a list twice")
	}
	stored := &storedList{
		objects: make([]*federation.Object, len(l.Objects)), stored: make([]*storedObject, len(l.Objects)), used: s.generation,
	}
	seen := make(map[federation.ObjectRef]bool, len(l.Objects))
	for i, o := range l.Objects {
		known, ok := s.objects[o.ID]
		if !ok {
			read, err := s.read(o, behind)
			if err != nil {
				return err
			}
			known = &storedObject{Object: read}
			s.objects[o.ID] = known
		}
		if seen[known.Ref] {
			return fmt.Errorf("it gives %s twice in one app", known.Ref)
		}
		seen[known.Ref] = true
		known.used = s.generation
		stored.objects[i], stored.stored[i] = known.Object, known
	}
	s.lists[l.ID] = stored
	return nil
}

func (s *store) read(o object, behind io.Reader) (*federation.Object, error) {
	if o.Size <= 0 || s.fresh+int64(o.Size) > maxFresh {
		return nil, fmt.Errorf("it gives more than %d MiB of objects, or one without content", maxFresh>>20)
	}
	s.fresh += int64(o.Size)
	data, err := readBytes(behind, o.Size)
	if err != nil {
		return nil, err
	}
	return federation.DecodeObject(data, o.File)
}
