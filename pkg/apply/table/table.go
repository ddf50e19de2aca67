package table

import (
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Options are a table's settings and its callbacks.
type Options struct {
	state.Settings
	// Overwritten is called when another client changed an object under our field
	// manager, before the object is repaired. It must not block or call the table.
	Overwritten func()
	// Change is called for each change that was made. It must not block or call the
	// table. Nil means never.
	Change func(federation.Change)
	Log    *zap.Logger
}

// Table is the state of one cluster, and what changes it. It is safe for concurrent
// use. None of its methods waits for anything.
type Table struct {
	overwritten func()
	onChange    func(federation.Change)
	log         *zap.Logger

	woken chan struct{} // one token is enough for any number of changes
	turn  atomic.Uint64 // counts the changes that may change the agenda

	mu sync.Mutex // protects s; never held during a request
	s  *state.State
}

// New returns a table that knows nothing yet.
func New(o Options) *Table {
	return &Table{
		overwritten: o.Overwritten, onChange: o.Change, log: o.Log,
		woken: make(chan struct{}, 1), s: state.New(o.Settings),
	}
}

// Wake makes Run compute the agenda again.
func (t *Table) Wake() {
	t.turn.Add(1)
	t.Ring()
}

// Ring makes Run continue with its backlog.
func (t *Table) Ring() {
	select {
	case t.woken <- struct{}{}:
	default: // there is a token already
	}
}

// Woken returns a channel that holds a token when there may be work.
func (t *Table) Woken() <-chan struct{} { return t.woken }

// SetInstance sets the instance name in the parents. Parents with another name are
// written again before anything else of their apps.
func (t *Table) SetInstance(name string) {
	t.WithState(func(s *state.State) {
		if s.Instance != name {
			s.Instance = name
			t.Wake()
		}
	})
}

// Want makes the plan what the cluster should run. It takes effect between any two
// requests. A new revision is a new chance for everything that was refused.
func (t *Table) Want(plan federation.ClusterPlan) {
	t.update(func(s *state.State) {
		s.Take(plan)
	})
}

// Retry ends every pause, because the cluster has come back or was fixed.
func (t *Table) Retry() {
	t.update(func(s *state.State) {
		s.RetryAll()
		s.Silent = state.Try{}
	})
}

// Forget drops what is known about the cluster, because it was restored from a backup
// or rebuilt. Everything has to be observed again.
func (t *Table) Forget() {
	t.update(func(s *state.State) {
		s.Reset()
	})
}

// update calls f, which changes the state, and wakes Run.
func (t *Table) update(f func(*state.State)) {
	t.WithState(f)
	t.Wake()
}

// WithState calls f with the state, which f must not retain.
func (t *Table) WithState(f func(*state.State)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t.s)
}

// record stores a change made for the plan's revision. The caller must hold t.mu.
func (t *Table) record(c federation.Change) {
	if c.Action == federation.ActionUnchanged {
		return
	}
	t.s.Changes[c.Object] = c
	if t.onChange != nil {
		t.onChange(c)
	}
}
