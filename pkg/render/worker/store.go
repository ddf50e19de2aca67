package worker

import (
	"errors"
	"fmt"
	"io"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// A store has the objects and lists that a process has sent in the last two
// renderings, by the process's ids. The process forgets them by the same rule.
type store struct {
	generation uint64
	objects    map[uint64]*storedObject
	lists      map[uint64]*storedList
	errors     map[uint64]error // of this rendering

	// Received in this rendering.
	bytes    int64 // of objects
	entries  int   // of lists
	problems int   // of errors
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

// The limits on one rendering. The renderer has smaller ones, with reasons for users;
// these protect from a compromised process.
const (
	maxBytes    = 256 << 20 // of objects, plus objectBytes each
	objectBytes = 500       // the size of an object in addition to its JSON
	maxEntries  = limit.Rendered
	maxProblems = 2 * sentProblems
)

func newStore() *store {
	return &store{objects: map[uint64]*storedObject{}, lists: map[uint64]*storedList{}}
}

// turn starts the next rendering.
func (s *store) turn() {
	s.generation++
	s.bytes, s.entries, s.problems = 0, 0, 0
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

// failure returns the error with an id.
func (s *store) failure(id uint64) (given, err error) {
	given, ok := s.errors[id]
	if !ok {
		return nil, errors.New("it names an error that it did not send")
	}
	return given, nil
}

// get returns the list with an id.
func (s *store) get(id uint64) ([]*federation.Object, error) {
	if id == 0 {
		return nil, nil
	}
	l, ok := s.lists[id]
	if !ok {
		return nil, errors.New("it names a list that it did not send")
	}
	if l.used != s.generation {
		l.used = s.generation
		for _, o := range l.stored {
			o.used = s.generation
		}
	}
	return l.objects, nil
}

// add receives new objects, whose JSON follows their frame.
func (s *store) add(objects []object, behind io.Reader) error {
	for _, o := range objects {
		if _, twice := s.objects[o.ID]; twice {
			return errors.New("it sent an object twice")
		}
		if o.Size <= 0 || o.Size > maxBytes || len(o.File) > limit.PathBytes {
			return errors.New("it sent an object that is empty or too large")
		}
		if s.bytes += objectBytes + int64(len(o.File)) + int64(o.Size); s.bytes > maxBytes {
			return fmt.Errorf("it sent more than %d MiB of objects", maxBytes>>20)
		}
		data, err := readBytes(behind, o.Size)
		if err != nil {
			return err
		}
		read, err := render.Decoded(data, o.File)
		if err != nil {
			return err
		}
		s.objects[o.ID] = &storedObject{Object: read, used: s.generation}
	}
	return nil
}

// put receives a list.
func (s *store) put(l list) error {
	if _, twice := s.lists[l.ID]; twice || l.ID == 0 {
		return errors.New("it sent a list twice")
	}
	if s.entries += len(l.Objects); s.entries > maxEntries {
		return fmt.Errorf("its lists have more than %s objects", limit.Number(maxEntries))
	}
	stored := &storedList{
		objects: make([]*federation.Object, len(l.Objects)), stored: make([]*storedObject, len(l.Objects)), used: s.generation,
	}
	seen := make(map[federation.ObjectRef]bool, len(l.Objects))
	for i, id := range l.Objects {
		known, ok := s.objects[id]
		if !ok {
			return errors.New("it names an object that it did not send")
		}
		if seen[known.Ref] {
			return fmt.Errorf("it sent %s twice in one app", limit.Text(known.Ref.String(), limit.ValueBytes))
		}
		seen[known.Ref] = true
		known.used = s.generation
		stored.objects[i], stored.stored[i] = known.Object, known
	}
	s.lists[l.ID] = stored
	return nil
}

// fail receives an error.
func (s *store) fail(f failure) error {
	switch s.problems += len(f.Problems); {
	case len(f.Problems) == 0:
		return errors.New("it sent an error without a reason")
	case s.problems > maxProblems:
		return fmt.Errorf("its errors have more than %s reasons", limit.Number(maxProblems))
	}
	s.errors[f.ID] = f.err()
	return nil
}
