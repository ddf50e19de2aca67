package merge

import (
	"bytes"
	"container/heap"
	"errors"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/fedsync/fedsync/pkg/source/objectdb"
)

// How a commit was reached.
const (
	fromA = 1 << iota
	fromB
	stale // behind a common ancestor: it is one too, but not the best
)

// ErrNoCommon reports that two commits have no common ancestor among those that were
// read.
var ErrNoCommon = errors.New("no common ancestor")

// Base returns the newest of the best common ancestors of two commits: where the two
// sides diverged. It walks back in time from both at the same time, as Git does
// (paint_down_to_common in commit-reach.c), and reads at most limit commits. A commit
// that is not found ends its branch of the walk: the history is shallow there. Without a
// common ancestor, the error is ErrNoCommon.
func Base(read func(plumbing.Hash) (objectdb.Commit, error), a, b plumbing.Hash, limit int) (objectdb.Commit, error) {
	w := walk{read: read, limit: limit, seen: map[plumbing.Hash]*step{}}
	if err := errors.Join(w.reach(a, fromA), w.reach(b, fromB)); err != nil {
		return objectdb.Commit{}, err
	}
	var common []*step
	for w.fresh > 0 {
		s := w.next()
		flags := s.flags
		if flags == fromA|fromB {
			common = append(common, s)
			flags |= stale
		}
		for _, parent := range s.Parents {
			if err := w.reach(parent, flags); err != nil {
				return objectdb.Commit{}, err
			}
		}
	}
	var best *step
	for _, s := range common {
		if s.flags&stale == 0 && (best == nil || s.before(best)) {
			best = s
		}
	}
	if best == nil {
		return objectdb.Commit{}, ErrNoCommon
	}
	return best.Commit, nil
}

// step is a commit on the walk back.
type step struct {
	objectdb.Commit
	flags  int
	queued bool
}

// before reports whether s is newer than o.
func (s *step) before(o *step) bool {
	if !s.Time.Equal(o.Time) {
		return s.Time.After(o.Time)
	}
	return bytes.Compare(s.ID[:], o.ID[:]) < 0
}

// walk walks back from commits to their parents.
type walk struct {
	read  func(plumbing.Hash) (objectdb.Commit, error)
	limit int
	seen  map[plumbing.Hash]*step // nil for missing commits
	queue steps
	fresh int // commits in the queue that are not stale
	// parents counts those of all commits: one commit may name thousands.
	parents int
}

// reach adds flags to a commit, and queues it if any of them is new.
func (w *walk) reach(id plumbing.Hash, flags int) error {
	s, known := w.seen[id]
	if !known {
		if len(w.seen) >= w.limit || w.parents > 4*w.limit {
			return nil
		}
		c, err := w.read(id)
		switch {
		case err == nil:
			c.Subject = "" // may be long, and is not needed
			s = &step{Commit: c}
			w.parents += len(c.Parents)
		case !errors.Is(err, plumbing.ErrObjectNotFound):
			return err
		}
		w.seen[id] = s
	}
	if s == nil || s.flags|flags == s.flags {
		return nil
	}
	wasFresh := s.queued && s.flags&stale == 0
	s.flags |= flags
	isFresh := s.flags&stale == 0
	switch {
	case isFresh && !wasFresh:
		w.fresh++
	case wasFresh && !isFresh:
		w.fresh--
	}
	if !s.queued {
		s.queued = true
		heap.Push(&w.queue, s)
	}
	return nil
}

// next removes the newest commit from the queue.
func (w *walk) next() *step {
	s := heap.Pop(&w.queue).(*step) //nolint:forcetypeassert // nothing else is pushed
	s.queued = false
	if s.flags&stale == 0 {
		w.fresh--
	}
	return s
}

// steps are a heap, the newest first.
type steps []*step

func (s steps) Len() int           { return len(s) }
func (s steps) Less(i, j int) bool { return s[i].before(s[j]) }
func (s steps) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *steps) Push(x any)        { *s = append(*s, x.(*step)) } //nolint:forcetypeassert // only reach pushes

func (s *steps) Pop() any {
	last := len(*s) - 1
	popped := (*s)[last]
	*s = (*s)[:last]
	return popped
}
