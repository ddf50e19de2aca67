package claim

import (
	"cmp"
	"slices"
	"time"
)

const (
	// seenWithin is how recently a claim must have been seen for a write to begin,
	// and how long this process may have stood still without looking again.
	seenWithin = 10 * time.Second
	// trustWithin is how recently a claim must have been seen for a sign of another
	// instance to be one of before.
	trustWithin = 200 * time.Millisecond
	// chooseWithin is how long a start waits for members that do not answer before
	// it chooses a token by those that did.
	chooseWithin = 5 * time.Second
	// damageGap is how far above the rest a generation is not believed.
	damageGap = 1000
)

// Action is what a member may do now.
type Action int

// The actions. Only Write allows writing anything but the Lease.
const (
	Wait    Action = iota // nothing: the cluster was not seen, or the token is not chosen
	Look                  // read the Lease first, also if nothing is to be written
	Take                  // write the Lease first
	Write                 // the claim is ours
	Yield                 // another instance has taken over: read, and write nothing
	Damaged               // the Lease is damage: write nothing until a person has looked
	Foreign               // the Lease is that of another source
	Blind                 // the Lease may not be read, watched or written
	Left                  // the cluster is no longer a member
)

// table is what is known of the claims of one federation, and the rules over it.
// It starts no request, asks no clock and is not safe for concurrent use.
type table struct {
	source  string // what this instance follows
	own     Token  // zero until it is chosen
	kept    Token  // of the start before: may be used again
	floor   uint64 // a generation that this machine has used
	yielded Token  // to whom this instance has yielded everywhere

	begun time.Time // since when members are awaited
	beat  time.Time // when the process was last known to run
	awake time.Time // when it went on after it had stood still

	rows    map[string]*row
	suspect uint64 // generations from here on are damage; 0 where none is
}

// row is what is known of the claim in one cluster.
type row struct {
	sight     Sight
	met       bool      // the cluster has answered since the start
	first     Token     // what it showed then
	yielded   Token     // to whom this instance has yielded here
	watching  bool      // a watch stands
	confirmed time.Time // when the sight was last known to be what the cluster has
	doubt     bool      // a request had no certain answer: the sight may be wrong
	events    int       // how many the watch has brought
	watchErr  error     // why no watch stands
	refused   bool      // watchErr is a lack of permission
	askErr    error     // of the last read or write, where it failed
	left      bool
}

// members makes these clusters the members. A federation of another name is told
// to a table of its own.
func (t *table) members(names []string, now time.Time) {
	if t.rows == nil {
		t.rows = map[string]*row{}
	}
	for name, r := range t.rows {
		if !slices.Contains(names, name) {
			r.left = true
			delete(t.rows, name)
		}
	}
	for _, name := range names {
		if t.rows[name] == nil {
			t.rows[name] = &row{}
		}
	}
	if t.begun.IsZero() {
		t.begun = now
	}
	t.settle(now)
}

// forget drops what the cluster showed: it may be another one, or an earlier state of
// the same. To whom this instance has yielded here is not forgotten.
func (t *table) forget(r *row, now time.Time) {
	*r = row{met: r.met, first: r.first, yielded: r.yielded, events: r.events, left: r.left}
	t.settle(now)
}

// saw takes over what a watch brought.
func (t *table) saw(r *row, s Sight, now time.Time) {
	r.events++
	t.store(r, s, now)
}

// listed notes that a watch stands, and whether its list has a Lease. Without one
// there is none, also where a write of ours made it: a watch that never knew a Lease
// cannot tell that it was deleted.
func (t *table) listed(r *row, there bool, now time.Time) {
	r.watching, r.watchErr, r.refused = true, nil, false
	r.events++
	t.confirm(r, now)
	switch {
	case !there:
		r.sight = FromLease(nil)
	case r.sight.Kind != Held && r.sight.Kind != Garbled:
		r.doubt = true // there is one that was not shown: a read tells
	}
	t.store(r, r.sight, now)
}

// lost notes that a watch does not stand.
func (t *table) lost(r *row, err error, refused bool, now time.Time) {
	if r.watching && !t.stale(r) {
		t.confirm(r, now)
	}
	r.watching = false
	if err != nil {
		r.watchErr, r.refused = err, refused
	}
	t.settle(now)
}

// answered takes over what a read or a write answered that was sent at began, when
// the watch had brought so many events. What the watch brought meanwhile may be
// newer than the answer, so then it is asked for again.
func (t *table) answered(r *row, s Sight, began time.Time, events int, now time.Time) {
	r.askErr = nil
	if r.events != events {
		r.doubt = true
		t.settle(now)
		return
	}
	r.doubt = false
	t.confirm(r, began)
	t.store(r, s, now)
}

// doubted notes that a request failed, and that what the cluster shows now is
// not certain: also a write that was not answered may have been carried out.
func (t *table) doubted(r *row, err error, now time.Time) {
	r.doubt, r.askErr = true, err
	t.settle(now)
}

// mistrusted notes a sign that another instance may write, and reports whether that is
// news. The watch of the Lease may be behind the one that brought the sign, so the
// claim is read before the next write. However many signs there are, they do not keep
// an instance from writing: one read is enough for those that arrive about the same
// time.
func (t *table) mistrusted(r *row, now time.Time) (news bool) {
	if r.doubt || elapsed(r.confirmed, now) < trustWithin {
		return false
	}
	r.events++ // what was asked before does not answer this
	r.doubt = true
	return true
}

func (t *table) confirm(r *row, at time.Time) {
	if at.After(r.confirmed) {
		r.confirmed = at
	}
}

func (t *table) store(r *row, s Sight, now time.Time) {
	r.sight = s
	if !r.met {
		r.met, r.first = true, s.Holder
	}
	t.settle(now)
}

// tick notes that the process runs, and whether it has stood still.
func (t *table) tick(now time.Time) {
	if !t.beat.IsZero() && elapsed(t.beat, now) > seenWithin {
		t.awake = now
	}
	t.beat = now
	t.settle(now)
}

// elapsed returns the time between two moments by the clock that went further:
// the monotonic one stands still while a machine sleeps, and the other may be set.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// stale reports whether the process has stood still since the sight was known to
// be true. A watch is no proof: what it missed meanwhile may yet arrive.
func (t *table) stale(r *row) bool {
	return !t.awake.IsZero() && r.confirmed.Before(t.awake)
}

// fresh reports whether the claim was seen recently enough to write.
func (t *table) fresh(r *row, now time.Time) bool {
	return !r.doubt && !t.stale(r) && (r.watching || elapsed(r.confirmed, now) <= seenWithin)
}

// answers reports whether the cluster's claim can be seen at present.
func (t *table) answers(r *row, now time.Time) bool {
	return r.met && !r.refused && (r.watching || elapsed(r.confirmed, now) <= seenWithin)
}

// foreign reports whether an instance that follows something else holds the claim.
func (t *table) foreign(r *row) bool {
	s := r.sight
	return s.Kind == Held && s.Holder != t.own && s.Source != "" && s.Source != t.source
}

// credible reports whether the row shows a token that counts.
func (t *table) credible(r *row) bool {
	return r.sight.Kind == Held && !t.foreign(r) && (t.suspect == 0 || r.sight.Holder.generation < t.suspect)
}

// settle works out what follows from the rows: which generations are damage, where
// another instance took over, and whether it did so everywhere.
func (t *table) settle(now time.Time) {
	t.suspect = t.damageFrom()
	if t.own.IsZero() || !t.yielded.IsZero() {
		return
	}
	taken := false
	for _, r := range t.rows {
		if t.credible(r) && r.sight.Holder.Greater(t.own) && !t.late(r) {
			r.yielded = greatest(r.yielded, r.sight.Holder)
		}
		taken = taken || !r.yielded.IsZero()
	}
	if !taken {
		return
	}
	// Somebody who is alive has taken over: what else is greater is taken for
	// theirs, and not for what an instance left behind.
	var by Token
	answering, greater := 0, 0
	for _, r := range t.rows {
		if t.credible(r) && r.sight.Holder.Greater(t.own) {
			r.yielded = greatest(r.yielded, r.sight.Holder)
		}
		if !t.answers(r, now) || t.foreign(r) {
			continue
		}
		answering++
		if !r.yielded.IsZero() {
			greater++
			by = greatest(by, r.yielded)
		}
	}
	if 2*greater > answering {
		t.yielded = by
	}
}

// late reports whether the row shows what the cluster showed when it first
// answered: the start of this instance has not got there yet. It may be what an
// instance left behind that has ended, so it is no takeover.
func (t *table) late(r *row) bool {
	return r.yielded.IsZero() && r.sight.Kind == Held && r.sight.Holder == r.first
}

// damageFrom returns the least generation that is too far above the rest to be
// believed, or 0. Where more than half of the clusters are that far above, it is
// the rest that lagged behind.
func (t *table) damageFrom() uint64 {
	var shown []uint64
	met := 0
	for _, r := range t.rows {
		if !r.met || t.foreign(r) {
			continue
		}
		met++
		if r.sight.Kind == Held {
			shown = append(shown, r.sight.Holder.generation)
		}
	}
	rest := slices.Clone(shown)
	for _, g := range []uint64{t.own.generation, t.kept.generation} {
		if g > 0 {
			rest = append(rest, g)
		}
	}
	slices.Sort(rest)
	for i := 1; i < len(rest); i++ {
		if rest[i]-rest[i-1] < damageGap {
			continue
		}
		above := 0
		for _, g := range shown {
			if g >= rest[i] {
				above++
			}
		}
		if above > 0 && 2*above <= met {
			return rest[i]
		}
	}
	return 0
}

// due reports whether a token must be chosen now: the first, or one above what a
// cluster shows that answered later than the others.
func (t *table) due(now time.Time) bool {
	if !t.yielded.IsZero() {
		return false
	}
	if t.own.IsZero() {
		met, awaited := false, false
		for _, r := range t.rows {
			met = met || r.met
			awaited = awaited || !r.met && r.watchErr == nil
		}
		return met && (!awaited || elapsed(t.begun, now) >= chooseWithin)
	}
	above := false
	for _, r := range t.rows {
		if !r.yielded.IsZero() || r.watching && t.stale(r) {
			return false // another instance took over, or may have
		}
		above = above || t.credible(r) && r.sight.Holder.Greater(t.own)
	}
	return above
}

// choice returns the token that due asks for: the one kept where it is the
// greatest, else one of the next generation.
func (t *table) choice(random func(generation uint64) Token) Token {
	highest := t.own
	for _, r := range t.rows {
		if t.credible(r) {
			highest = greatest(highest, r.sight.Holder)
		}
	}
	if !t.kept.IsZero() && t.own.IsZero() && !highest.Greater(t.kept) {
		return t.kept
	}
	return random(max(highest.generation, t.kept.generation, t.floor) + 1)
}

// choose makes token the own one, unless another instance took over since it was
// asked for: the greatest token of those that live must not have yielded anywhere.
func (t *table) choose(token Token, now time.Time) {
	if t.due(now) && token.Greater(t.own) {
		t.own, t.kept = token, token
	}
	t.settle(now)
}

// verdict returns what may be done in a cluster.
func (t *table) verdict(r *row, now time.Time) Action {
	switch {
	case r.left:
		return Left
	case !t.yielded.IsZero() || !r.yielded.IsZero():
		return Yield
	case r.refused:
		return Blind
	case !r.met:
		if r.watchErr != nil {
			return Blind
		}
		return Wait
	case t.own.IsZero():
		return Wait
	case !t.fresh(r, now):
		return Look
	}
	switch s := r.sight; s.Kind {
	case Garbled:
		return Damaged
	case Held:
		switch {
		case s.Holder == t.own:
			return Write
		case t.foreign(r):
			return Foreign
		case !t.credible(r):
			return Damaged
		case s.Holder.Greater(t.own):
			return Wait // a greater token of ours is due
		}
	case Absent, Unseen:
	}
	if !r.watching {
		// A claim is watched from before it is written, or nobody would see the
		// next instance take it over.
		if r.watchErr != nil {
			return Blind
		}
		return Wait
	}
	return Take
}

// names returns the clusters in order.
func (t *table) names() []string {
	names := make([]string, 0, len(t.rows))
	for name := range t.rows {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}
