package table

import (
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/pkg/apply/state"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Options are a table's settings, and who is told of what.
type Options struct {
	state.Settings
	// Overwritten is called when an object was changed under our field manager by
	// somebody else, before that is put right; it must not block or call the table.
	Overwritten func()
	// Change is told of each change that was made; the same holds for it. Nobody if nil.
	Change func(federation.Change)
	Log    *zap.Logger
}

// Table is the state of one cluster, and what changes it. It is safe for concurrent use, and
// none of its methods waits for anything.
type Table struct {
	overwritten func()
	told        func(federation.Change)
	log         *zap.Logger

	woken chan struct{} // one token is enough for any number of changes
	turn  atomic.Uint64 // counts what may make another agenda

	mu sync.Mutex // protects what follows; never held during a request
	s  *state.State
}

// New makes a table that knows nothing yet.
func New(o Options) *Table {
	return &Table{
		overwritten: o.Overwritten, told: o.Change, log: o.Log,
		woken: make(chan struct{}, 1), s: state.New(o.Settings),
	}
}

// Wake has Run work through the table again.
func (t *Table) Wake() {
	t.turn.Add(1)
	t.Ring()
}

// Ring has Run go on with its backlog.
func (t *Table) Ring() {
	select {
	case t.woken <- struct{}{}:
	default: // a token is there already
	}
}

// Woken gives a token when there may be something to do.
func (t *Table) Woken() <-chan struct{} { return t.woken }

// SetInstance sets the name that the parents bear. Those that bear another are
// written again before anything else of their apps.
func (t *Table) SetInstance(name string) {
	t.Look(func(s *state.State) {
		if s.Instance != name {
			s.Instance = name
			t.Wake()
		}
	})
}

// Want makes the plan what the cluster should run. It takes effect between any two
// requests. A new revision is a new chance for all that was refused.
func (t *Table) Want(plan federation.ClusterPlan) {
	t.update(func(s *state.State) {
		s.Take(plan)
	})
}

// Retry ends every pause: the cluster has come back, or somebody mended it.
func (t *Table) Retry() {
	t.update(func(s *state.State) {
		s.RetryAll()
		s.Silent = state.Try{}
	})
}

// Forget drops what is known of the cluster, for one that was restored from a
// backup or rebuilt. Everything has to be observed again.
func (t *Table) Forget() {
	t.update(func(s *state.State) {
		s.Reset()
	})
}

// update calls f, which changes the state, and wakes Run.
func (t *Table) update(f func(*state.State)) {
	t.Look(f)
	t.Wake()
}

// Look calls f with the state, which f may not hold on to.
func (t *Table) Look(f func(*state.State)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t.s)
}

// record records what was done for the plan's revision; the table's mutex is held.
func (t *Table) record(c federation.Change) {
	if c.Action == federation.ActionUnchanged {
		return
	}
	t.s.Changes[c.Object] = c
	if t.told != nil {
		t.told(c)
	}
}
