package objectstore

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// control is the queue of objects that the store's controllers will process, and when.
// The store's lock protects it.
type control struct {
	due    []work
	timer  *time.Timer
	number uint64 // of the last queued work
}

// work is one object for one controller to process.
type work struct {
	resource schema.GroupResource
	name     types.NamespacedName
	rule     int // its index in the store's rules
	at       time.Time
	number   uint64
}

func (c *control) clear() {
	if c.timer != nil {
		c.timer.Stop()
	}
	*c = control{number: c.number}
}

// controlChange queues the work that follows from a change.
func (s *Store) controlChange(c change) {
	for i, r := range s.rules {
		if s.NoWorkloads && r.workload {
			continue
		}
		e := cmp.Or(c.after, c.before)
		if r.concerns(c) {
			s.queue(work{resource: c.resource, name: nameOf(e.meta), rule: i}, r.pace(s.Pace))
		}
	}
}

// queue has a controller process an object after a while, only once however often it
// changes until then.
func (s *Store) queue(w work, after time.Duration) {
	same := func(o work) bool { return o.rule == w.rule && o.resource == w.resource && o.name == w.name }
	if slices.ContainsFunc(s.control.due, same) {
		return
	}
	s.control.number++
	w.at, w.number = time.Now().Add(after), s.control.number
	s.control.due = append(s.control.due, w)
	slices.SortFunc(s.control.due, func(a, b work) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.number, b.number)) })
	s.arm()
}

// arm sets the timer to the next due work.
func (s *Store) arm() {
	if s.control.timer != nil {
		s.control.timer.Stop()
		s.control.timer = nil
	}
	if len(s.control.due) > 0 {
		s.control.timer = time.AfterFunc(time.Until(s.control.due[0].at), s.runDue)
	}
}

// runDue does the work that is due. It runs in the timer's goroutine.
func (s *Store) runDue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.control.due) > 0 && !s.control.due[0].at.After(time.Now()) {
		w := s.control.due[0]
		s.control.due = s.control.due[1:]
		r := s.rules[w.rule]
		if again := r.apply(s, w); again {
			s.queue(w, r.pace(s.Pace))
		}
	}
	s.arm()
}
