package claim

import (
	"cmp"
	"slices"
	"time"
)

const (
	// seenWithin is how recently a claim must have been seen for a write to begin, and
	// how long this process may have been paused without reading it again.
	seenWithin = 10 * time.Second
	// trustWithin is how recently a claim must have been seen for a sign of another
	// instance to count as old.
	trustWithin = 200 * time.Millisecond
	// chooseWithin is how long a start waits for members that do not answer before it
	// chooses a token from those that did.
	chooseWithin = 5 * time.Second
	// damageGap is how far a generation may be above the rest and still be believed.
	damageGap = 1000
)

// Action is what a member may do now.
type Action int

// The actions. Only Write allows writes other than of the Lease.
const (
	Wait    Action = iota // nothing: the cluster was not seen, or the token is not chosen
	Refresh               // read the Lease first, even if nothing has to be written
	Take                  // write the Lease first
	Write                 // the claim is ours
	Yield                 // another instance has taken over: read, and write nothing
	Damaged               // the Lease is damaged: write nothing until a user has checked it
	Foreign               // the Lease is that of another source
	Blind                 // the Lease must not be read, watched or written
	Left                  // the cluster is no longer a member
)

// table is what is known about the claims of one federation, and the rules. It starts
// no request, reads no clock and is not safe for concurrent use.
type table struct {
	source  string // what this instance follows
	own     Token  // zero until it is chosen
	kept    Token  // of the previous start: may be used again
	floor   uint64 // a generation that this machine has used
	yielded Token  // the token that this instance has yielded to everywhere

	begun time.Time // since when members are awaited
	beat  time.Time // when the process was last known to run
	awake time.Time // when it resumed after a pause

	rows    map[string]*row
	suspect uint64 // generations from here on are damage; 0 if there is none
}

// row is what is known about the claim in one cluster.
type row struct {
	sight     Sight
	met       bool      // the cluster has answered since the start
	first     Token     // the holder at that time
	yielded   Token     // the token that this instance has yielded to in this cluster
	watching  bool      // a watch is running
	confirmed time.Time // when the sight was last known to be current
	doubt     bool      // a request had no certain answer: the sight may be wrong
	events    int       // how many events the watch has sent
	watchErr  error     // why no watch is running
	refused   bool      // watchErr is a lack of permission
	askErr    error     // of the last read or write, if it failed
	left      bool
}

// members sets the member clusters. Another federation has a table of its own.
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

// forget drops what the cluster showed, because it may be another one or in an earlier
// state. The token that this instance has yielded to in it is remembered.
func (t *table) forget(r *row, now time.Time) {
	*r = row{met: r.met, first: r.first, yielded: r.yielded, events: r.events, left: r.left}
	t.settle(now)
}

// saw records a sight from a watch.
func (t *table) saw(r *row, s Sight, now time.Time) {
	r.events++
	t.store(r, s, now)
}

// listed records that a watch is running, and whether its list has a Lease. If it has
// none there is none, even if our write created one: a watch that never knew a Lease
// cannot notice its deletion.
func (t *table) listed(r *row, there bool, now time.Time) {
	r.watching, r.watchErr, r.refused = true, nil, false
	r.events++
	t.confirm(r, now)
	switch {
	case !there:
		r.sight = FromLease(nil)
	case r.sight.Kind != Held && r.sight.Kind != Garbled:
		r.doubt = true // there is one that was not sent: it has to be read
	}
	t.store(r, r.sight, now)
}

// lost records that no watch is running.
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

// answered records the answer to a read or a write. The request was sent at began, when
// the watch had sent that many events. Events that arrived since may be newer than the
// answer, so then the claim has to be read again.
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

// doubted records that a request failed, and that the cluster's state is uncertain:
// even a write without an answer may have been carried out.
func (t *table) doubted(r *row, err error, now time.Time) {
	r.doubt, r.askErr = true, err
	t.settle(now)
}

// mistrusted records a sign that another instance may write, and reports whether that
// is new. The watch of the Lease may be behind the one that showed the sign, so the
// claim is read before the next write. Many signs do not keep an instance from writing:
// one read is enough for those that arrive at about the same time.
func (t *table) mistrusted(r *row, now time.Time) (news bool) {
	if r.doubt || elapsed(r.confirmed, now) < trustWithin {
		return false
	}
	r.events++ // an answer to an earlier request does not count
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

// tick records that the process runs, and whether it was paused.
func (t *table) tick(now time.Time) {
	if !t.beat.IsZero() && elapsed(t.beat, now) > seenWithin {
		t.awake = now
	}
	t.beat = now
	t.settle(now)
}

// elapsed returns the time between two moments by the clock that advanced more. The
// monotonic clock stops while a machine sleeps, and the wall clock may be set.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// stale reports whether the process was paused since the sight was last known to be
// current. A watch is no proof: events that it missed during the pause may still
// arrive.
func (t *table) stale(r *row) bool {
	return !t.awake.IsZero() && r.confirmed.Before(t.awake)
}

// fresh reports whether the claim was seen recently enough to write.
func (t *table) fresh(r *row, now time.Time) bool {
	return !r.doubt && !t.stale(r) && (r.watching || elapsed(r.confirmed, now) <= seenWithin)
}

// answers reports whether the cluster's claim can be seen now.
func (t *table) answers(r *row, now time.Time) bool {
	return r.met && !r.refused && (r.watching || elapsed(r.confirmed, now) <= seenWithin)
}

// foreign reports whether an instance of another source holds the claim.
func (t *table) foreign(r *row) bool {
	s := r.sight
	return s.Kind == Held && s.Holder != t.own && s.Source != "" && s.Source != t.source
}

// credible reports whether the row shows a token that counts.
func (t *table) credible(r *row) bool {
	return r.sight.Kind == Held && !t.foreign(r) && (t.suspect == 0 || r.sight.Holder.generation < t.suspect)
}

// settle derives from the rows which generations are damage, where another instance
// took over, and whether it did so everywhere.
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
	// A running instance has taken over. Other greater tokens count as its own, and not
	// as leftovers of an instance that has ended.
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

// late reports whether the row still shows what the cluster showed at its first answer.
// This instance has not written there yet, and the holder may have ended, so it is no
// takeover.
func (t *table) late(r *row) bool {
	return r.yielded.IsZero() && r.sight.Kind == Held && r.sight.Holder == r.first
}

// damageFrom returns the least generation that is too far above the rest to be
// believed, or 0. If more than half of the clusters are that far above, the rest was
// behind.
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

// due reports whether a token must be chosen now: the first one, or one above the token
// of a cluster that answered late.
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

// choice returns the token that due asks for: the stored one if it is the greatest,
// otherwise one of the next generation.
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

// choose makes token the own one, unless another instance took over since it was asked
// for: an instance that has yielded anywhere must not get the greatest token.
func (t *table) choose(token Token, now time.Time) {
	if t.due(now) && token.Greater(t.own) {
		t.own, t.kept = token, token
	}
	t.settle(now)
}

// verdict returns what a cluster's member may do.
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
		return Refresh
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
			return Wait // a greater token of our own is due
		}
	case Absent, Unseen:
	}
	if !r.watching {
		// A claim is watched from before it is written. Otherwise a takeover by the
		// next instance would go unseen.
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
