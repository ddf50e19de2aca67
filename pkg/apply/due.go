package apply

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
)

const (
	// slow is how long a request may take before it stops holding up the rest: it
	// counts as tried, and its slot as free.
	slow = 2 * time.Second
	// listPatience is how long what was not listed holds up later kinds.
	listPatience = 2 * time.Second
	// establishTries is how often a kind is asked for, with growing pauses, before
	// what stands on its definition counts as tried: about ten seconds.
	establishTries = 7
)

// taskType says what a task does.
type taskType int

const (
	taskLearn  taskType = iota // ask how kinds are served
	taskSpace                  // look for a namespace, and make it where it is missing
	taskWiden                  // write all that the app has into its inventory
	taskPut                    // bring an object to the cluster
	taskPark                   // move a Service to free ports, to give up its own
	taskRemove                 // delete an object that left Git
	taskNarrow                 // take what the app no longer has out of its inventory
	taskAsk                    // ask the API server anything, to see whether it answers
)

// task is something to do that takes requests.
type task struct {
	typ   taskType
	row   *row
	app   *app
	space string
	kinds []schema.GroupKind
}

// agenda is what is due.
type agenda struct {
	tasks []task    // in the order in which they may begin
	next  time.Time // when more is due by time alone; zero for never
	calm  bool      // everything was tried, and nothing is under way or about to be
	final bool      // and only a change in Git or by somebody's hand can do better
}

// standing says how far a row is from what Git wants.
type standing int

const (
	atRest  standing = iota // as wanted
	busy                    // a request is under way
	due                     // a request is due
	waiting                 // it was tried, or waits for somebody: it holds up nothing
	pending                 // it waits for what is being done, and holds up later kinds
)

// agendaAt computes what is due. It reads the table and nothing else; t.mu is held.
func (t *table) agendaAt(now time.Time) agenda {
	if t.silent.err != nil {
		if until := t.silent.until(pauseShared); now.Before(until) {
			return agenda{next: until, calm: true}
		}
	}
	x := t.reckoningAt(now)
	x.reckon()
	x.inventories()
	x.records()
	x.remove()
	x.narrow()
	tasks := slices.Concat(x.groundwork(), x.tasks, x.again())
	if t.silent.err != nil {
		// One shows whether the API server answers again.
		switch {
		case x.underWay || t.asking != nil:
			tasks = nil
		case len(tasks) == 0:
			tasks = []task{{typ: taskAsk}}
		default:
			tasks = tasks[:1]
		}
	}
	return agenda{tasks: tasks, next: x.next, calm: !x.holds, final: x.final && !x.underWay}
}

// reckoning is one computation of the agenda.
type reckoning struct {
	*table
	now  time.Time
	rows []*row
	apps map[string]*appTally

	ports    map[object.Port][]*row        // of ours, by what they hold
	claimed  map[object.Port]bool          // what Services that are not settled are to have
	flying   map[schema.GroupKind]bool     // kinds of which a request is under way
	slow     map[schema.GroupKind]bool     // and of those, that has taken long
	trying   map[string]bool               // reasons of refused rows that are being tried
	defines  map[schema.GroupKind]standing // of the definitions
	wides    map[*app]bool                 // what wide returned
	retried  time.Time                     // when something refused was tried last
	learning *flight                       // the request for kinds that is under way

	tasks    []task
	retries  []retry
	next     time.Time
	learn    []schema.GroupKind
	spaces   []string
	widen    []*app
	applying bool // rows are being applied or about to be
	holds    bool // something is under way or about to be
	underWay bool
	final    bool
}

// appTally counts the rows of an app.
type appTally struct {
	wanted, unsettled int
	leaving           []*row
}

// reckoningAt looks over the rows once for what the judgement of each one needs of
// the others.
func (t *table) reckoningAt(now time.Time) *reckoning {
	x := &reckoning{
		table: t, now: now, rows: t.sorted(), apps: map[string]*appTally{}, final: true,
		ports: t.portHolders(), claimed: map[object.Port]bool{},
		flying: map[schema.GroupKind]bool{}, slow: map[schema.GroupKind]bool{},
		trying:  map[string]bool{},
		defines: map[schema.GroupKind]standing{}, wides: map[*app]bool{},
	}
	for _, r := range x.rows {
		if r.flight == nil && r.last.err == nil && (r.want == nil || x.settled(r)) {
			continue
		}
		gk := r.ref.GroupKind()
		if r.flight != nil {
			x.flying[gk] = true
			x.slow[gk] = x.slow[gk] || r.flight.isSlow(now)
		}
		if r.want != nil && gk == object.ServiceKind && !r.settled() {
			for _, port := range r.want.NodePorts() {
				x.claimed[port] = true
			}
		}
		if r.last.err == nil {
			continue
		}
		reason := r.last.reason
		x.trying[reason] = x.trying[reason] || r.flight != nil
		x.notePast(r.last, r.flight)
	}
	for _, k := range t.kinds {
		x.learning = cmp.Or(x.learning, k.flight)
	}
	for _, s := range t.spaces {
		x.notePast(s.last, s.flight)
	}
	for _, a := range t.apps {
		x.notePast(a.last, a.flight)
	}
	return x
}

func (f *flight) isSlow(now time.Time) bool { return !now.Before(f.since.Add(slow)) }

func (x *reckoning) tally(name string) *appTally {
	a := x.apps[name]
	if a == nil {
		a = &appTally{}
		x.apps[name] = a
	}
	return a
}

func (x *reckoning) wake(at time.Time) {
	if x.next.IsZero() || at.Before(x.next) {
		x.next = at
	}
}

// reckon finds the rows that are due: those of the first kinds that were not
// tried yet, and those that were refused and may be tried again.
func (x *reckoning) reckon() {
	var fresh []*row
	barrier := object.RankIngress + 1
	for _, r := range x.rows {
		if r.want == nil {
			x.leaves(r)
			continue
		}
		tally := x.tally(r.want.App)
		tally.wanted++
		s, until := x.standing(r)
		if s != atRest {
			tally.unsettled++
		}
		if gk, ok := x.definedBy(r); ok {
			x.defines[gk] = s
		}
		switch s {
		case atRest:
		case busy:
			x.underWay = true
			if r.last.err == nil && !x.hangs(r.ref.GroupKind()) {
				barrier = min(barrier, r.rank)
			}
		case pending:
			barrier = min(barrier, r.rank)
		case due:
			if r.last.err == nil && !x.hangs(r.ref.GroupKind()) {
				barrier = min(barrier, r.rank)
				fresh = append(fresh, r)
				break
			}
			x.final = x.final && r.last.err != nil && r.last.err.ByHand()
			x.retries = append(x.retries, x.retryOf(task{typ: x.putting(r), row: r}))
		case waiting:
			if r.flight != nil || r.last.err != nil && !r.last.err.ByHand() || r.live != nil && r.live.Terminating {
				x.final = false
			}
		}
		if !until.IsZero() {
			x.wake(until)
		}
	}
	x.applying = barrier <= object.RankIngress
	x.holds = x.holds || x.applying
	for _, r := range fresh {
		if r.rank > barrier {
			break
		}
		x.tasks = append(x.tasks, task{typ: x.putting(r), row: r})
	}
}

// leaves notes a row that nobody wants.
func (x *reckoning) leaves(r *row) {
	if name, ok := x.ownerOf(r); ok {
		x.tally(name).leaving = append(x.tally(name).leaving, r)
	}
	if r.flight == nil {
		return
	}
	x.underWay = true
	if at := r.flight.since.Add(slow); x.now.Before(at) {
		x.holds = true
		x.wake(at)
	}
}

// putting is what is done to bring the row to the cluster.
func (x *reckoning) putting(r *row) taskType {
	if x.waitsFor(r) != nil {
		return taskPark // standing saw that it is the one of its circle to do so
	}
	return taskPut
}

// definedBy returns the kind that the row's object defines.
func (x *reckoning) definedBy(r *row) (schema.GroupKind, bool) {
	if r.ref.GroupKind() != object.DefinitionKind {
		return schema.GroupKind{}, false
	}
	gk, ok := x.definers[r.ref]
	return gk, ok
}

// standing judges a row that Git wants, and returns when time alone changes that.
func (x *reckoning) standing(r *row) (standing, time.Time) {
	if r.flight == nil && x.settled(r) {
		return atRest, time.Time{}
	}
	k := x.kind(r.ref.GroupKind())
	switch {
	case r.flight != nil:
		if slowAt := r.flight.since.Add(slow); x.now.Before(slowAt) {
			return busy, slowAt
		}
		x.underWay = true
		return waiting, time.Time{}
	case r.live != nil && r.live.Terminating && x.isWatched(r, k):
		return waiting, time.Time{} // its event tells when it is gone
	case r.stopped(x.now):
		return waiting, r.fight.until
	}
	if s, until := x.ground(r, k); s != due {
		return s, until
	}
	if r.last.err == nil {
		if s, until := x.first(r, k); s != due {
			return s, until
		}
	} else if until := x.retryAt(r); x.now.Before(until) {
		return waiting, until
	} else if !r.last.at.IsZero() && !x.hasChanged(r) && x.trying[r.last.reason] && r.last.reason != "" {
		return waiting, time.Time{} // another one is being tried for all
	}
	if other := x.waitsFor(r); other != nil && !x.inCircle(r) {
		return waiting, time.Time{} // the other gives the port up first
	}
	return due, time.Time{}
}

// isWatched reports whether events tell what becomes of the row's object.
func (x *reckoning) isWatched(r *row, k *kind) bool {
	return x.list(k).done && r.live != nil && r.live.PartOf != ""
}

// first judges a row that was not tried yet.
func (x *reckoning) first(r *row, k *kind) (standing, time.Time) {
	gk := r.ref.GroupKind()
	if x.hangs(gk) {
		// One goes; the others wait for what comes of it.
		if p := x.pauses[refusal.TimeoutReason(gk)]; x.flying[gk] {
			return waiting, time.Time{}
		} else if p != nil && x.now.Before(p.until) {
			return waiting, p.until
		}
	}
	return x.listed(k)
}
