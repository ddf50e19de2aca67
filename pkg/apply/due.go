package apply

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Pauses between two tries, which double from the first to the last of them.
const (
	pauseFirst = time.Second
	// pauseShared bounds the pause of what may be lifted for many objects at a
	// time: a policy, a quota, a right.
	pauseShared = 30 * time.Second
	// pauseOwn bounds the pause of an object that is refused for what it says.
	pauseOwn = 5 * time.Minute
	// pauseChanged bounds the pause after something that the refusal may depend on
	// has changed: soon, and yet not with every event.
	pauseChanged = 5 * time.Second
	// pauseDefined is the first pause before a kind is asked for again that an
	// established definition brings: the API server serves it a moment later.
	pauseDefined = 100 * time.Millisecond
)

const (
	// slow is how long a request may take before it stops holding up the rest: it
	// counts as tried, and its slot as free.
	slow = 2 * time.Second
	// listPatience is how long what was not listed holds up later kinds.
	listPatience = 2 * time.Second
	// establishPatience bounds the wait for a definition to be established before
	// what stands on it counts as tried.
	establishPatience = 10 * time.Second
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
	x := &reckoning{table: t, now: now, rows: t.sorted(), apps: map[string]*appTally{}, probes: map[string]*row{}, slow: map[schema.GroupKind]bool{}, final: true}
	x.ports = x.portHolders()
	for _, r := range x.rows {
		if r.flight != nil && !now.Before(r.flight.since.Add(slow)) {
			x.slow[r.ref.GroupKind()] = true
		}
	}
	if t.silent.err != nil {
		if until := t.silent.until(pauseShared); now.Before(until) {
			return agenda{next: until, calm: true}
		}
	}
	x.reckon()
	x.remove()
	x.narrow()
	tasks := slices.Concat(x.groundwork(), x.tasks)
	if t.silent.err != nil && len(tasks) > 0 {
		tasks = tasks[:1] // it shows whether the API server answers again
		if x.underWay {
			tasks = nil
		}
	}
	return agenda{tasks: tasks, next: x.next, calm: !x.holds, final: x.final && !x.underWay}
}

// reckoning is one computation of the agenda.
type reckoning struct {
	*table
	now    time.Time
	rows   []*row
	apps   map[string]*appTally
	ports  map[servicePort][]*row    // of ours, by what they hold
	probes map[string]*row           // the row that is tried for all of its reason
	slow   map[schema.GroupKind]bool // kinds of which a request has taken long

	tasks    []task
	next     time.Time
	learn    []schema.GroupKind
	spaces   []string
	widen    []*app
	holds    bool // something is under way or about to be
	underWay bool
	final    bool
}

// appTally counts the rows of an app.
type appTally struct {
	wanted, unsettled int
	leaving           []*row
}

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
	type candidate struct {
		row   *row
		tried bool
		park  bool
	}
	var ready []candidate
	barrier := rankIngress + 1
	for _, r := range x.rows {
		if r.want == nil {
			if name, ok := x.ownerOf(r); ok {
				x.tally(name).leaving = append(x.tally(name).leaving, r)
			}
			if r.flight != nil {
				x.holds, x.underWay = true, true
			}
			continue
		}
		tally := x.tally(r.want.app)
		tally.wanted++
		s, until := x.standing(r)
		if s != atRest {
			tally.unsettled++
		}
		switch s {
		case atRest:
		case busy:
			x.underWay = true
			if r.last.err == nil {
				barrier = min(barrier, rank(r.ref.GroupKind()))
			}
		case pending:
			barrier = min(barrier, rank(r.ref.GroupKind()))
		case due:
			tried := r.last.err != nil
			if !tried {
				barrier = min(barrier, rank(r.ref.GroupKind()))
			}
			ready = append(ready, candidate{row: r, tried: tried})
		case waiting:
			if r.flight != nil || r.last.err != nil && !r.last.err.byHand() || r.live != nil && r.live.terminating {
				x.final = false
			}
		}
		if !until.IsZero() {
			x.wake(until)
		}
	}
	x.holds = x.holds || barrier <= rankIngress
	for _, c := range ready {
		if !c.tried && rank(c.row.ref.GroupKind()) > barrier {
			continue
		}
		if c.tried && !x.isProbe(c.row) {
			continue
		}
		if c.tried {
			x.final = x.final && c.row.last.err.byHand()
		}
		k := x.table.kinds[c.row.ref.GroupKind()]
		if k.hung && x.hangs(c.row.ref.GroupKind()) {
			continue
		}
		typ := taskPut
		if other := x.waitsFor(c.row); other != nil {
			if !x.inCircle(c.row) {
				continue // the other is due, too, or is waited for
			}
			typ = taskPark
		}
		x.tasks = append(x.tasks, task{typ: typ, row: c.row})
	}
}

// standing judges a row that Git wants, and says when time alone changes that.
func (x *reckoning) standing(r *row) (standing, time.Time) {
	gk := r.ref.GroupKind()
	k := x.kind(gk)
	switch {
	case r.flight != nil:
		if slowAt := r.flight.since.Add(slow); x.now.Before(slowAt) {
			return busy, slowAt
		}
		x.underWay = true
		return waiting, time.Time{}
	case r.settled():
		return atRest, time.Time{}
	case r.live != nil && r.live.terminating:
		return waiting, time.Time{} // its event tells when it is gone
	case r.stopped(x.now):
		return waiting, r.fight.until
	}
	if s, until := x.ground(r, k); s != due {
		return s, until
	}
	if r.last.err != nil {
		if until := x.retryAt(r); x.now.Before(until) {
			return waiting, until
		}
		return due, time.Time{}
	}
	if k.hung || x.slow[r.ref.GroupKind()] {
		return x.behindHung(r)
	}
	if s, until := x.listed(k); s != due {
		return s, until
	}
	if other := x.waitsFor(r); other != nil && other.want == nil {
		return waiting, time.Time{} // it is being deleted, and gives the port up at its end
	}
	return due, time.Time{}
}

// ground judges what a row stands on: its kind, its namespace and its inventory.
func (x *reckoning) ground(r *row, k *kind) (standing, time.Time) {
	gk := r.ref.GroupKind()
	if k.mapping == nil {
		return x.unknownKind(gk, k)
	}
	if s, until := x.namespace(r); s != due {
		return s, until
	}
	a := x.table.app(r.want.app)
	switch {
	case a.parent.refusal() != nil:
		return waiting, time.Time{}
	case x.wide(a):
		return due, time.Time{}
	case a.last.err != nil && a.last.err.leavesNoInventory():
		if until := a.last.until(pauseShared); !x.now.Before(until) && a.flight == nil {
			x.addWiden(a)
		} else {
			x.wake(until)
		}
		return due, time.Time{} // better without an inventory than not at all
	case a.flight != nil:
		x.underWay = true
		return pending, time.Time{}
	case !x.listings.parents.done && x.listings.parents.err == nil && x.now.Before(x.since.Add(x.listTimeout)):
		return pending, x.since.Add(x.listTimeout)
	case a.last.err != nil && x.now.Before(a.last.until(pauseShared)):
		x.final = x.final && a.last.err.byHand()
		return waiting, a.last.until(pauseShared)
	}
	x.addWiden(a)
	if a.last.err != nil {
		return waiting, time.Time{}
	}
	return pending, time.Time{}
}

func (x *reckoning) addWiden(a *app) {
	if !slices.Contains(x.widen, a) {
		x.widen = append(x.widen, a)
	}
}

// unknownKind judges a row of which it is not known how its kind is served.
func (x *reckoning) unknownKind(gk schema.GroupKind, k *kind) (standing, time.Time) {
	definition := x.rowOfDefinition(gk)
	switch {
	case k.flight != nil:
		x.underWay = true
		return pending, time.Time{}
	case k.last.err == nil:
		x.learn = append(x.learn, gk)
		return pending, time.Time{}
	case definition != nil && definition.last.err == nil && definition.flight == nil && !definition.settled():
		return pending, time.Time{} // the definition is about to be applied
	}
	until := k.last.until(pauseShared)
	if definition.established() {
		until = k.last.at.Add(backoff(pauseDefined, k.last.failures, pauseShared))
	}
	if !x.now.Before(until) {
		x.learn = append(x.learn, gk)
		until = time.Time{}
	}
	if definition != nil && definition.last.err == nil && x.now.Before(definition.seen.Add(establishPatience)) {
		return pending, latest(until, definition.seen.Add(establishPatience))
	}
	return waiting, until
}

// namespace judges the namespace that a row is in.
func (x *reckoning) namespace(r *row) (standing, time.Time) {
	name := r.ref.Namespace
	if name == "" || x.table.rows[federation.ObjectRef{Kind: "Namespace", Name: name}].wanted() {
		return due, time.Time{}
	}
	s := x.space(name)
	switch {
	case s.known && s.exists && !s.terminating:
		return due, time.Time{}
	case s.known && s.terminating:
		x.final = false
		return waiting, time.Time{} // its event tells when it is gone
	case s.flight != nil:
		x.underWay = true
		return pending, time.Time{}
	case s.known && !x.mayCreate(name):
		return waiting, time.Time{}
	case !s.known && x.listings.spaces.err == nil && !x.listings.spaces.done && x.now.Before(x.since.Add(x.listTimeout)):
		return pending, x.since.Add(x.listTimeout)
	case s.last.err != nil && x.now.Before(s.last.until(pauseShared)):
		x.final = x.final && s.last.err.byHand()
		return waiting, s.last.until(pauseShared)
	}
	if !slices.Contains(x.spaces, name) {
		x.spaces = append(x.spaces, name)
	}
	if s.last.err != nil {
		return waiting, time.Time{}
	}
	return pending, time.Time{}
}

// mayCreate reports whether a missing namespace is to be made. Our own is made
// even where others are not to be.
func (t *table) mayCreate(name string) bool { return t.plan.CreateNamespaces || name == Namespace }

// listed judges whether what exists of a kind is known. What has not been listed
// in time is read object by object.
func (x *reckoning) listed(k *kind) (standing, time.Time) {
	if k.list.done || k.list.err != nil {
		return due, time.Time{}
	}
	switch end, patience := k.since.Add(x.listTimeout), k.since.Add(listPatience); {
	case !x.now.Before(end):
		return due, time.Time{}
	case !x.now.Before(patience):
		return waiting, end
	default:
		return pending, patience
	}
}

// behindHung lets one row of a kind go whose requests are not answered; the
// others wait for what comes of it.
func (x *reckoning) behindHung(r *row) (standing, time.Time) {
	if x.hangs(r.ref.GroupKind()) || x.pauses[timeoutReason(r.ref.GroupKind())] != nil {
		return waiting, time.Time{}
	}
	return due, time.Time{}
}

// hangs reports whether a request for the kind is under way.
func (x *reckoning) hangs(gk schema.GroupKind) bool {
	for _, r := range x.rows {
		if r.flight != nil && r.ref.GroupKind() == gk {
			return true
		}
	}
	return slices.ContainsFunc(x.tasks, func(t task) bool { return t.row != nil && t.row.ref.GroupKind() == gk })
}

// retryAt is when a refused row may be tried again.
func (x *reckoning) retryAt(r *row) time.Time {
	told := r.last.at.Add(r.last.err.RetryAfter)
	if r.last.around != x.around(r) {
		return latest(told, r.last.at.Add(backoff(pauseFirst, r.last.failures, pauseChanged)))
	}
	if reason := r.last.err.reason(); reason != "" {
		p := x.pauses[reason]
		if p == nil {
			return time.Time{} // another of them went through
		}
		return p.until
	}
	return r.last.until(cmp.Or(r.last.err.pauseMax(), pauseOwn))
}

// isProbe reports whether a refused row is the one that is tried for all that are
// refused for its reason: the one that was tried longest ago.
func (x *reckoning) isProbe(r *row) bool {
	reason := r.last.err.reason()
	if reason == "" || x.pauses[reason] == nil || r.last.around != x.around(r) {
		return true
	}
	probe := x.probes[reason]
	if probe == nil {
		probe = r
		for _, o := range x.rows {
			if o.last.err == nil || o.last.err.reason() != reason {
				continue
			}
			if o.flight != nil {
				probe = o
				break
			}
			if o.last.at.Before(probe.last.at) {
				probe = o
			}
		}
		x.probes[reason] = probe
	}
	return probe == r
}

// around is what a refusal of the row may depend on, as it is now.
func (t *table) around(r *row) circumstances {
	var c circumstances
	if r.want != nil {
		c.wish = r.want.want()
	}
	if r.live != nil {
		c.object = r.live.mark()
	}
	if s := t.spaces[r.ref.Namespace]; s != nil {
		c.space = s.mark
	}
	if d := t.rowOfDefinition(r.ref.GroupKind()); d != nil && d.live != nil {
		c.kind = d.live.uid
	}
	return c
}

// groundwork are the tasks that come before those of objects.
func (x *reckoning) groundwork() []task {
	var tasks []task
	x.learnInventory()
	if len(x.learn) > 0 {
		slices.SortFunc(x.learn, func(a, b schema.GroupKind) int {
			return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind))
		})
		tasks = append(tasks, task{typ: taskLearn, kinds: slices.Compact(x.learn)})
	}
	for _, name := range x.spaces {
		tasks = append(tasks, task{typ: taskSpace, space: name})
	}
	for _, a := range x.widen {
		tasks = append(tasks, task{typ: taskWiden, app: a})
	}
	return tasks
}

// learnInventory asks for the kinds that the inventories list and the plan does
// not: what is to be pruned is seen only where they are watched.
func (x *reckoning) learnInventory() {
	for _, gk := range x.listedKinds() {
		k := x.kind(gk)
		switch {
		case k.mapping != nil || k.flight != nil:
		case k.last.err == nil || !x.now.Before(k.last.until(pauseShared)):
			x.learn = append(x.learn, gk)
		default:
			x.wake(k.last.until(pauseShared))
		}
	}
}

// until is when a failure may be tried again, with pauses up to last.
func (t try) until(last time.Duration) time.Time {
	if t.err == nil {
		return time.Time{}
	}
	return t.at.Add(max(t.err.RetryAfter, backoff(pauseFirst, t.failures, last)))
}

// backoff is the pause after so many failures in a row.
func backoff(first time.Duration, failures int, last time.Duration) time.Duration {
	pause := first
	for i := 1; i < failures && pause < last; i++ {
		pause *= 2
	}
	return min(pause, last)
}

// latest returns the later of two times, where zero is none.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// failed records a failure of what was begun with flight.
func (t *try) failed(now time.Time, e *Error, f *flight) {
	*t = try{err: e, at: now, failures: t.failures + 1, around: f.around}
}

// isGone reports whether the cluster is known not to serve the kind.
func (k *kind) isGone() bool {
	return k.mapping == nil && k.last.err != nil && meta.IsNoMatchError(k.last.err.Err)
}
