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
	// gapRetry is the least time between two tries of what was refused, so that a
	// cluster that refuses everything costs little however much there is; gapChanged
	// that where a circumstance of the refusal has changed.
	gapRetry   = 4 * time.Second
	gapChanged = 2 * time.Second
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

	ports    map[servicePort][]*row        // of ours, by what they hold
	claimed  map[servicePort]bool          // what Services that are not settled are to have
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

// retry is a task for what was refused before.
type retry struct {
	task    task
	at      time.Time // of the refusal; zero where it no longer counts
	changed bool      // a circumstance is another since
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
		ports: t.portHolders(), claimed: map[servicePort]bool{},
		flying: map[schema.GroupKind]bool{}, slow: map[schema.GroupKind]bool{},
		trying:  map[string]bool{},
		defines: map[schema.GroupKind]standing{}, wides: map[*app]bool{},
	}
	for _, r := range x.rows {
		if r.flight == nil && r.last.err == nil && (r.want == nil || r.settled()) {
			continue
		}
		gk := r.ref.GroupKind()
		if r.flight != nil {
			x.flying[gk] = true
			x.slow[gk] = x.slow[gk] || r.flight.isSlow(now)
		}
		if r.want != nil && gk == serviceKind && !r.settled() {
			for _, port := range r.want.nodePorts() {
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

// notePast notes when something refused was tried again last.
func (x *reckoning) notePast(last try, f *flight) {
	if last.err == nil {
		return
	}
	if last.failures > 1 {
		x.retried = latest(x.retried, last.at)
	}
	if f != nil {
		x.retried = latest(x.retried, f.since)
	}
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
	barrier := rankIngress + 1
	for _, r := range x.rows {
		if r.want == nil {
			x.leaves(r)
			continue
		}
		tally := x.tally(r.want.app)
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
			x.final = x.final && r.last.err != nil && r.last.err.byHand()
			x.retries = append(x.retries, x.retryOf(task{typ: x.putting(r), row: r}))
		case waiting:
			if r.flight != nil || r.last.err != nil && !r.last.err.byHand() || r.live != nil && r.live.terminating {
				x.final = false
			}
		}
		if !until.IsZero() {
			x.wake(until)
		}
	}
	x.applying = barrier <= rankIngress
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
	if r.ref.GroupKind() != definitionKind {
		return schema.GroupKind{}, false
	}
	gk, ok := x.definers[r.ref]
	return gk, ok
}

// standing judges a row that Git wants, and returns when time alone changes that.
func (x *reckoning) standing(r *row) (standing, time.Time) {
	if r.flight == nil && r.settled() {
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
	case r.live != nil && r.live.terminating && x.isWatched(r, k):
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
	return x.list(k).done && r.live != nil && r.live.partOf != ""
}

// first judges a row that was not tried yet.
func (x *reckoning) first(r *row, k *kind) (standing, time.Time) {
	gk := r.ref.GroupKind()
	if x.hangs(gk) {
		// One goes; the others wait for what comes of it.
		if p := x.pauses[timeoutReason(gk)]; x.flying[gk] {
			return waiting, time.Time{}
		} else if p != nil && x.now.Before(p.until) {
			return waiting, p.until
		}
	}
	return x.listed(k)
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
	return x.inventory(x.app(r.want.app))
}

// inventory judges the inventory that an object is to stand in.
func (x *reckoning) inventory(a *app) (standing, time.Time) {
	switch {
	case a.parent.refusal() != nil:
		return waiting, time.Time{}
	case x.isWide(a), a.last.err != nil && a.last.err.leavesNoInventory():
		return due, time.Time{} // better without an inventory than not at all
	case a.flight != nil:
		x.underWay = true
		if slowAt := a.flight.since.Add(slow); a.last.err == nil && x.now.Before(slowAt) {
			return pending, slowAt
		}
		return waiting, time.Time{}
	case a.last.err != nil:
		x.final = x.final && a.last.err.byHand()
		return waiting, time.Time{}
	}
	return pending, time.Time{} // inventories has it written
}

// inventories finds the parents that do not list all that their apps have, or
// bear another name than ours. What is about to leave counts: it may have been
// applied while no inventory could be kept.
func (x *reckoning) inventories() {
	for _, a := range x.sortedApps() {
		left := x.leaving(a, x.tally(a.name).leaving)
		if len(a.kinds) == 0 && (!a.named || !a.parent.exists() && len(left) == 0) {
			continue // there is nothing to list
		}
		if a.parent.refusal() != nil || a.flight != nil || x.isWide(a) && (!a.named || a.parent.lists(left)) {
			continue
		}
		if end := x.since.Add(x.listTimeout); !x.listings.parents.done && x.listings.parents.err == nil && x.now.Before(end) {
			x.holds = true
			x.wake(end)
			continue
		}
		if a.last.err == nil {
			x.holds = true
			x.widen = append(x.widen, a)
			continue
		}
		x.againAt(a.last, task{typ: taskWiden, app: a})
	}
}

// isWide is wide, once for each app.
func (x *reckoning) isWide(a *app) bool {
	wide, ok := x.wides[a]
	if !ok {
		wide = x.wide(a)
		x.wides[a] = wide
	}
	return wide
}

// againAt has a task tried again when its pause is over.
func (x *reckoning) againAt(last try, again task) {
	if until := last.until(pauseShared); x.now.Before(until) {
		x.wake(until)
		return
	}
	x.retries = append(x.retries, retry{task: again, at: last.at})
}

// unknownKind judges a row of which it is not known how its kind is served.
func (x *reckoning) unknownKind(gk schema.GroupKind, k *kind) (standing, time.Time) {
	defined := x.defines[gk] // atRest where there is no definition in the plan
	switch {
	case x.learning != nil:
		x.underWay = true // one at a time: what is not asked for now is then
		if slowAt := x.learning.since.Add(slow); k.last.err == nil && x.now.Before(slowAt) {
			return pending, slowAt
		}
		return waiting, time.Time{}
	case k.last.err == nil || k.asked != x.definition(gk):
		x.learn = append(x.learn, gk)
		return pending, time.Time{}
	case defined == busy || defined == due || defined == pending:
		return pending, time.Time{} // the definition is about to be applied
	}
	until := k.last.until(pauseShared)
	brought := defined == atRest && x.rowOfDefinition(gk) != nil
	if brought {
		until = k.last.at.Add(backoff(pauseDefined, k.last.failures, pauseShared))
	}
	if !x.now.Before(until) {
		x.learn = append(x.learn, gk)
		until = time.Time{}
	}
	if brought && k.last.failures < establishTries {
		return pending, until
	}
	return waiting, until
}

// namespace judges the namespace that a row is in.
func (x *reckoning) namespace(r *row) (standing, time.Time) {
	name := r.ref.Namespace
	if name == "" {
		return due, time.Time{}
	}
	s := x.space(name)
	if s.known && s.terminating && x.listings.spaces.done {
		x.final = false
		return waiting, time.Time{} // its event tells when it is gone
	}
	if x.table.rows[federation.ObjectRef{Kind: "Namespace", Name: name}].wanted() {
		return due, time.Time{}
	}
	switch {
	case s.known && s.exists && !s.terminating:
		return due, time.Time{}
	case s.flight != nil:
		x.underWay = true
		if slowAt := s.flight.since.Add(slow); s.last.err == nil && !s.known && x.now.Before(slowAt) {
			return pending, slowAt
		}
		return waiting, time.Time{}
	case s.known && (s.terminating || !x.mayCreate(name)):
		// It is missing, and an event tells when it is not; without a watch, a look.
		x.final = x.final && !s.terminating
		if until := s.at.Add(pauseShared); x.listings.spaces.done {
			return waiting, time.Time{}
		} else if x.now.Before(until) {
			return waiting, until
		}
		x.look(name)
		return waiting, time.Time{}
	case !s.known && x.listings.spaces.err == nil && !x.listings.spaces.done && x.now.Before(x.since.Add(x.listTimeout)):
		return pending, x.since.Add(x.listTimeout)
	case s.last.err != nil:
		x.final = x.final && s.last.err.byHand()
		if !x.looked(name) {
			x.againAt(s.last, task{typ: taskSpace, space: name})
		}
		return waiting, time.Time{}
	}
	x.look(name)
	return pending, time.Time{}
}

func (x *reckoning) look(name string) {
	if !slices.Contains(x.spaces, name) {
		x.spaces = append(x.spaces, name)
	}
}

// looked reports whether the namespace is to be looked for already.
func (x *reckoning) looked(name string) bool {
	return slices.ContainsFunc(x.retries, func(r retry) bool { return r.task.typ == taskSpace && r.task.space == name })
}

// mayCreate reports whether a missing namespace is to be made. Our own is made
// even where others are not to be.
func (t *table) mayCreate(name string) bool { return t.plan.CreateNamespaces || name == Namespace }

// listed judges whether what exists of a kind is known. What has not been listed
// in time is read object by object.
func (x *reckoning) listed(k *kind) (standing, time.Time) {
	l := x.list(k)
	if l.done || l.err != nil {
		return due, time.Time{}
	}
	since := latest(k.since, l.since)
	switch end, patience := since.Add(x.listTimeout), since.Add(listPatience); {
	case !x.now.Before(end):
		return due, time.Time{}
	case !x.now.Before(patience):
		return waiting, end
	default:
		return pending, patience
	}
}

// retryAt is when a refused row may be tried again.
func (x *reckoning) retryAt(r *row) time.Time {
	if r.last.at.IsZero() {
		return time.Time{}
	}
	if x.hasChanged(r) {
		return latest(r.last.at.Add(r.last.err.RetryAfter), r.last.at.Add(backoff(pauseFirst, r.last.failures, pauseChanged)))
	}
	if r.last.reason == "" {
		return r.last.until(r.last.err.pauseMax())
	}
	if p := x.pauses[r.last.reason]; p != nil {
		return p.until
	}
	return time.Time{}
}

// hasChanged reports whether something that the row's refusal may depend on is
// another than it was.
func (x *reckoning) hasChanged(r *row) bool { return r.last.around != x.around(r) }

func (x *reckoning) retryOf(again task) retry {
	if again.row.last.err == nil {
		return retry{task: again, at: x.since} // of a kind that hangs, and before those that were tried
	}
	return retry{task: again, at: again.row.last.at, changed: x.hasChanged(again.row)}
}

// hangs reports whether requests for a kind are not answered. One at a time is
// enough then, and what was not tried holds up nothing.
func (x *reckoning) hangs(gk schema.GroupKind) bool { return x.kind(gk).hung || x.slow[gk] }

// again returns which of the refused tasks are tried now: all whose refusal no
// longer counts, and one of the others. That is the one that waited longest; what
// has seen a change goes first.
func (x *reckoning) again() []task {
	slices.SortStableFunc(x.retries, func(a, b retry) int {
		if a.changed != b.changed {
			if a.changed {
				return -1
			}
			return 1
		}
		return a.at.Compare(b.at)
	})
	var tasks []task
	spent := false
	for _, r := range x.retries {
		free := r.at.IsZero()
		if !free && spent || r.task.row != nil && x.isBehind(r.task.row) {
			continue
		}
		if !free {
			spent = true
			gap := gapRetry
			if r.changed {
				gap = gapChanged
			}
			if at := x.retried.Add(gap); x.now.Before(at) {
				x.wake(at)
				continue
			}
		}
		tasks = append(tasks, r.task)
	}
	return tasks
}

// isBehind reports whether the row has to wait for another one of its kind, of
// which requests are not answered.
func (x *reckoning) isBehind(r *row) bool {
	gk := r.ref.GroupKind()
	if !x.hangs(gk) {
		return false
	}
	behind := x.flying[gk]
	x.flying[gk] = true
	return behind
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
	c.kind = t.definition(r.ref.GroupKind())
	return c
}

// definition is what is seen of the definition of a kind, where the plan has it.
func (t *table) definition(gk schema.GroupKind) definitionMark {
	d := t.rowOfDefinition(gk)
	if d == nil || d.live == nil {
		return definitionMark{}
	}
	return definitionMark{mark: d.live.mark(), established: d.live.established}
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
		case k.mapping != nil || x.learning != nil:
		case k.last.err == nil || !x.now.Before(k.last.until(pauseShared)):
			x.learn = append(x.learn, gk)
		default:
			x.wake(k.last.until(pauseShared))
		}
	}
}

// until is when a failure may be tried again, with pauses up to last.
func (t try) until(last time.Duration) time.Time {
	if t.err == nil || t.at.IsZero() {
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
	*t = try{err: e, reason: e.reason(), at: now, failures: t.failures + 1, around: f.around}
}

// isGone reports whether the cluster is known not to serve the kind.
func (k *kind) isGone() bool {
	return k != nil && k.mapping == nil && k.last.err != nil && meta.IsNoMatchError(k.last.err.Err)
}
