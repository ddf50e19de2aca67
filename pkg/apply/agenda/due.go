package agenda

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/state"
)

// The types of tasks.
const (
	Learn         Type = iota // ask how kinds are served
	FindNamespace             // read a namespace, and create it if it is missing
	Widen                     // write all that the app has into its inventory
	Put                       // create, apply or adopt an object
	Park                      // move a Service to free ports, to give up its own
	Remove                    // delete an object that left Git
	Narrow                    // take what the app no longer has out of its inventory
	Ask                       // check whether the API server answers
)

// Type is the kind of work that a task does.
type Type int

// Item is a task that takes requests.
type Item struct {
	Type  Type
	Row   *state.Row
	App   *state.App
	Space string
	Kinds []schema.GroupKind
}

// Agenda is what is due.
type Agenda struct {
	Tasks []Item    // in the order in which they may begin
	Next  time.Time // when time alone makes more due; zero means never
	Calm  bool      // everything was tried, and nothing is under way or about to be
	Final bool      // and only a change in Git or manual intervention can help
}

// At computes what is due. It reads the state and nothing else.
func At(t *state.State, now time.Time) Agenda {
	if t.Silent.Err != nil {
		if until := t.Silent.Until(state.PauseShared); now.Before(until) {
			return Agenda{Next: until, Calm: true}
		}
	}
	x := newComputation(t, now)
	x.findDue()
	x.inventories()
	x.records()
	x.remove()
	x.narrow()
	tasks := slices.Concat(x.groundwork(), x.tasks, x.again())
	if t.Silent.Err != nil {
		// One request shows whether the API server answers again.
		switch {
		case x.underWay || t.Asking != nil:
			tasks = nil
		case len(tasks) == 0:
			tasks = []Item{{Type: Ask}}
		default:
			tasks = tasks[:1]
		}
	}
	return Agenda{Tasks: tasks, Next: x.next, Calm: !x.holds, Final: x.final && !x.underWay}
}

const (
	atRest  standing = iota // as wanted
	busy                    // a request is under way
	due                     // a request is due
	waiting                 // it was tried, or waits for another party: it delays nothing
	pending                 // it waits for work under way, and delays later kinds
)

// standing is how far a row is from what Git wants.
type standing int

// computation is one computation of the agenda.
type computation struct {
	*state.State
	now  time.Time
	rows []*state.Row
	apps map[string]*state.AppTally

	ports    map[object.Port][]*state.Row  // rows by the node ports that they hold
	claimed  map[object.Port]bool          // ports that unsettled Services should get
	flying   map[schema.GroupKind]bool     // kinds with a request under way
	slow     map[schema.GroupKind]bool     // kinds whose request under way is slow
	trying   map[string]bool               // reasons of refused rows that are being tried
	defines  map[schema.GroupKind]standing // kinds, by the standing of their definitions
	wides    map[*state.App]bool           // results of Wide
	retried  time.Time                     // when a refused task was last tried
	learning *state.Flight                 // the request for kinds that is under way

	tasks    []Item
	retries  []retry
	next     time.Time
	learn    []schema.GroupKind
	spaces   []string
	widen    []*state.App
	applying bool // rows are being applied or about to be
	holds    bool // something is under way or about to be
	underWay bool
	final    bool
}

// newComputation reads all rows and collects what the judgement of each row needs to
// know about the others.
func newComputation(t *state.State, now time.Time) *computation {
	x := &computation{
		State: t, now: now, rows: t.Sorted(), apps: map[string]*state.AppTally{}, final: true,
		ports: t.PortHolders(), claimed: map[object.Port]bool{},
		flying: map[schema.GroupKind]bool{}, slow: map[schema.GroupKind]bool{},
		trying:  map[string]bool{},
		defines: map[schema.GroupKind]standing{}, wides: map[*state.App]bool{},
	}
	for _, r := range x.rows {
		if r.Flight == nil && r.Last.Err == nil && (r.Want == nil || x.Settled(r)) {
			continue
		}
		gk := r.Ref.GroupKind()
		if r.Flight != nil {
			x.flying[gk] = true
			x.slow[gk] = x.slow[gk] || r.Flight.IsSlow(now)
		}
		if r.Want != nil && gk == object.ServiceKind && !r.Settled() {
			for _, port := range r.Want.NodePorts() {
				x.claimed[port] = true
			}
		}
		if r.Last.Err == nil {
			continue
		}
		reason := r.Last.Reason
		x.trying[reason] = x.trying[reason] || r.Flight != nil
		x.notePast(r.Last, r.Flight)
	}
	for _, k := range t.Kinds {
		x.learning = cmp.Or(x.learning, k.Flight)
	}
	for _, s := range t.Spaces {
		x.notePast(s.Last, s.Flight)
	}
	for _, a := range t.Apps {
		x.notePast(a.Last, a.Flight)
	}
	return x
}

func (x *computation) tally(name string) *state.AppTally {
	a := x.apps[name]
	if a == nil {
		a = &state.AppTally{}
		x.apps[name] = a
	}
	return a
}

func (x *computation) wake(at time.Time) {
	if x.next.IsZero() || at.Before(x.next) {
		x.next = at
	}
}

// findDue finds the rows that are due: those of the first kinds that were not tried
// yet, and refused ones that may be tried again.
func (x *computation) findDue() {
	var fresh []*state.Row
	barrier := object.RankIngress + 1
	for _, r := range x.rows {
		if r.Want == nil {
			x.noteLeaving(r)
			continue
		}
		tally := x.tally(r.Want.App)
		tally.Wanted++
		s, until := x.standing(r)
		if s != atRest {
			tally.Unsettled++
		}
		if gk, ok := x.definedBy(r); ok {
			x.defines[gk] = s
		}
		switch s {
		case atRest:
		case busy:
			x.underWay = true
			if r.Last.Err == nil && !x.hangs(r.Ref.GroupKind()) {
				barrier = min(barrier, r.Rank)
			}
		case pending:
			barrier = min(barrier, r.Rank)
		case due:
			if r.Last.Err == nil && !x.hangs(r.Ref.GroupKind()) {
				barrier = min(barrier, r.Rank)
				fresh = append(fresh, r)
				break
			}
			x.final = x.final && r.Last.Err != nil && r.Last.Err.NeedsIntervention()
			x.retries = append(x.retries, x.retryOf(Item{Type: x.putType(r), Row: r}))
		case waiting:
			if r.Flight != nil || r.Last.Err != nil && !r.Last.Err.NeedsIntervention() || r.Live != nil && r.Live.Terminating {
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
		if r.Rank > barrier {
			break
		}
		x.tasks = append(x.tasks, Item{Type: x.putType(r), Row: r})
	}
}

// noteLeaving records a row that Git does not want.
func (x *computation) noteLeaving(r *state.Row) {
	if name, ok := x.OwnerOf(r); ok {
		x.tally(name).Leaving = append(x.tally(name).Leaving, r)
	}
	if r.Flight == nil {
		return
	}
	x.underWay = true
	if at := r.Flight.Since.Add(state.Slow); x.now.Before(at) {
		x.holds = true
		x.wake(at)
	}
}

// putType returns the type of task that applies the row.
func (x *computation) putType(r *state.Row) Type {
	if x.waitsFor(r) != nil {
		return Park // standing found that it is the one of its circle to move
	}
	return Put
}

// definedBy returns the kind that the row's object defines.
func (x *computation) definedBy(r *state.Row) (schema.GroupKind, bool) {
	if r.Ref.GroupKind() != object.DefinitionKind {
		return schema.GroupKind{}, false
	}
	gk, ok := x.Definers[r.Ref]
	return gk, ok
}

// standing judges a row that Git wants, and returns when time alone changes the result.
func (x *computation) standing(r *state.Row) (standing, time.Time) {
	if r.Flight == nil && x.Settled(r) {
		return atRest, time.Time{}
	}
	k := x.Kind(r.Ref.GroupKind())
	switch {
	case r.Flight != nil:
		if slowAt := r.Flight.Since.Add(state.Slow); x.now.Before(slowAt) {
			return busy, slowAt
		}
		x.underWay = true
		return waiting, time.Time{}
	case r.Live != nil && r.Live.Terminating && x.isWatched(r, k):
		return waiting, time.Time{} // an event follows when it is gone
	case r.Stopped(x.now):
		return waiting, r.Fight.Until
	}
	if s, until := x.ground(r, k); s != due {
		return s, until
	}
	if r.Last.Err == nil {
		if s, until := x.firstTry(r, k); s != due {
			return s, until
		}
	} else if until := x.retryAt(r); x.now.Before(until) {
		return waiting, until
	} else if !r.Last.At.IsZero() && !x.hasChanged(r) && x.trying[r.Last.Reason] && r.Last.Reason != "" {
		return waiting, time.Time{} // another row is being tried for all
	}
	if other := x.waitsFor(r); other != nil && !x.inCircle(r) {
		return waiting, time.Time{} // the other Service gives up the port first
	}
	return due, time.Time{}
}

// isWatched reports whether events show what becomes of the row's object.
func (x *computation) isWatched(r *state.Row, k *state.Kind) bool {
	return x.List(k).Done && r.Live != nil && r.Live.PartOf != ""
}

// firstTry judges a row that was not tried yet.
func (x *computation) firstTry(r *state.Row, k *state.Kind) (standing, time.Time) {
	gk := r.Ref.GroupKind()
	if x.hangs(gk) {
		// One request goes ahead; the other rows wait for its result.
		if p := x.Pauses[refusal.TimeoutReason(gk)]; x.flying[gk] {
			return waiting, time.Time{}
		} else if p != nil && x.now.Before(p.Until) {
			return waiting, p.Until
		}
	}
	return x.listed(k)
}
