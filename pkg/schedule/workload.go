package schedule

import (
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// standing is what a cluster counts for when replicas are divided.
type standing int

const (
	// up is seen now: its facts are those of now.
	up standing = iota
	// offline has been away for as long as the threshold says: its replicas are
	// placed elsewhere.
	offline
	// lost was declared so by a person, with the same effect.
	lost
	// kept is out of sight and not to be evacuated: it counts as running what it
	// ran last.
	kept
	// unknown has not been seen since the start, and may run anything.
	unknown
)

// workload is all that the decision on one ReplicaSet or Deployment depends on.
type workload struct {
	app         string
	object      federation.ObjectRef
	file        string
	key         string // "namespace/name"
	total       int64  // spec.replicas in Git
	preferences Preferences
	// frozen says that too many clusters went away at once, so that the fault is
	// taken to be our own network. Those that are away are kept.
	frozen bool
	// unsure says that an autoscaler of the workload may have gone unread: what it
	// set is not lowered.
	unsure   bool
	clusters []placed // in the order of fedsync.yaml
	// refused are clusters that keepLast does not drain.
	refused []string
}

// placed is a cluster where the workload belongs. The facts of one that is out of
// sight are the last ones; those of an unknown one are not read.
type placed struct {
	name     string
	standing standing
	exists   bool  // the object is there
	live     int64 // spec.replicas
	ready    int64
	current  int64
	limited  bool
	capacity int64
	// drained says that its traffic is away, and that its replicas are to follow.
	drained bool
	// scaled says that an autoscaler sets the replicas, whatever is decided.
	scaled bool
}

// decide says what every cluster should run of the workload, and what to write
// there now.
func decide(w workload) federation.ReplicasDecision {
	total := max(0, w.total)
	claims, fixed := w.claims()
	order := tieOrder(w.key, claims)
	portions := divide(total-fixed, w.preferences.Rebalance, claims, order)
	w.feel(portions)
	moves := w.moves(portions)
	w.hold(portions, moves)
	shift(total, moves, order)
	w.restrain(total, moves, order)

	decision := federation.ReplicasDecision{
		App: w.app, Object: w.object, File: w.file, Total: w.total,
		Shares: make([]federation.ReplicasShare, len(w.clusters)),
	}
	short := max(0, total-fixed)
	for i := range w.clusters {
		c, p, m := &w.clusters[i], &portions[i], &moves[i]
		short -= p.share
		s := federation.ReplicasShare{
			Cluster: c.name, Share: p.share, Overflow: p.overflow, Basis: p.basis,
			Replicas: m.written, Live: m.live,
		}
		switch c.standing {
		case up:
			if c.drained {
				s.Basis = federation.ShareDrained
			}
			if m.written > m.target {
				s.Basis = federation.ShareHeld
			}
		case offline:
			s.Basis = federation.ShareOffline
		case lost:
			s.Basis = federation.ShareLost
		case kept:
			s.Basis, s.Share = federation.ShareKept, m.target
		case unknown:
			s.Basis = federation.ShareKept
			decision.Waits = append(decision.Waits, c.name)
		}
		decision.Shares[i] = s
	}
	slices.Sort(decision.Waits)
	if short > 0 {
		decision.Shortfall, decision.Reason = short, w.why(claims, portions)
	}
	return decision
}

// claims gives the claim of each cluster, and how many replicas are fixed where
// nothing is to be decided. The claim of a cluster that takes no part is empty.
func (w *workload) claims() (claims []claim, fixed int64) {
	claims = make([]claim, len(w.clusters))
	for i := range w.clusters {
		c := &w.clusters[i]
		claims[i].cluster = c.name
		switch c.standing {
		case up, unknown:
			if !c.drained {
				claims[i].prefs, claims[i].named = w.preferences.of(c.name)
			}
		case kept:
			fixed += max(0, c.running())
		case offline, lost:
		}
		if c.standing == up && c.exists {
			claims[i].current, claims[i].limited, claims[i].capacity = c.current, c.limited, c.capacity
		}
	}
	return claims, fixed
}

// running is the live count, or absent.
func (c *placed) running() int64 {
	if !c.exists || c.standing == unknown {
		return absent
	}
	return c.live
}

// feel leaves one pod pending in a cluster that would be asked for more if it had
// room. Its limit is known only as long as a pod is pending; were the last one
// taken away, the limit would be forgotten, the cluster asked again, and so for
// ever. A plan that creates the object elsewhere goes without: where those pods
// find no room either is yet to be seen, and happens once.
func (w *workload) feel(portions []portion) {
	if w.creates(portions) {
		return
	}
	for i := range w.clusters {
		c, p := &w.clusters[i], &portions[i]
		if p.cut && p.overflow == 0 && c.live > p.share {
			p.overflow = 1
		}
	}
}

// hold keeps that last pending pod also where the cluster would not be asked, but
// only because pods elsewhere that are not Ready count as running. If they do not
// become Ready, they will count no longer, and the cluster would be asked again.
func (w *workload) hold(portions []portion, moves []move) {
	if w.preferences.Rebalance || w.creates(portions) {
		return
	}
	lacking := 0
	for i := range moves {
		if w.lacks(portions, moves, i) {
			lacking++
		}
	}
	for i := range w.clusters {
		elsewhere := lacking
		if w.lacks(portions, moves, i) {
			elsewhere--
		}
		if c := &w.clusters[i]; c.standing == up && c.exists && c.limited && !c.drained && elsewhere > 0 {
			moves[i].least = min(c.live, max(0, c.capacity)+1)
		}
	}
}

// creates says whether a portion is for a cluster that lacks the object.
func (w *workload) creates(portions []portion) bool {
	for i := range w.clusters {
		if c := &w.clusters[i]; c.standing == up && !c.exists && portions[i].share > 0 {
			return true
		}
	}
	return false
}

// lacks says whether an existing workload has fewer Ready pods than its share.
func (w *workload) lacks(portions []portion, moves []move, i int) bool {
	return w.clusters[i].standing == up && moves[i].live != absent && moves[i].ready < portions[i].share
}

// moves says for each cluster what runs and where it is to go.
func (w *workload) moves(portions []portion) []move {
	moves := make([]move, len(w.clusters))
	for i := range w.clusters {
		c := &w.clusters[i]
		m := move{live: c.running()}
		switch c.standing {
		case up, unknown:
			m.target = portions[i].share + portions[i].overflow
		case offline, lost, kept:
			// Should it turn out to live, it must not lose what it runs before it
			// has been looked at.
			m.target = max(0, m.live)
		}
		if c.standing == up { // of what is out of sight, nobody knows that it is Ready
			m.ready = max(0, min(c.ready, m.live))
		}
		moves[i] = m
	}
	return moves
}

// restrain takes back what may not be done now. While a cluster is unknown no
// existing count is lowered, and none is raised unless that depends on nothing
// which may run there. While frozen, the counts move only as far as Git's total
// differs from what is live: nothing is raised for what is away, nor lowered
// because of pods that are out of sight.
func (w *workload) restrain(total int64, moves []move, order []int) {
	var live, visible, created int64
	waits := false
	for i := range w.clusters {
		m := &moves[i]
		switch w.clusters[i].standing {
		case up:
			visible += max(0, m.live)
			if m.live == absent {
				created += m.written
			}
		case kept:
			live += max(0, m.live)
		case unknown:
			waits = true
		case offline, lost:
		}
	}
	live += visible
	raise, lower := int64(Unbounded), int64(Unbounded)
	if w.frozen {
		raise, lower = max(0, total-live-created), max(0, visible-total)
	}
	if w.unsure {
		lower = 0
	}
	if waits {
		lower = 0
		if !w.preferences.Rebalance {
			raise = 0
		}
	}
	if raise < Unbounded || lower < Unbounded {
		standStill(moves, order, raise, lower)
	}
}

// why says in one line why not all replicas could be placed.
func (w *workload) why(claims []claim, portions []portion) string {
	var full, away, drained []string
	atMax, named := false, false
	for i := range w.clusters {
		switch c := &w.clusters[i]; c.standing {
		case offline, lost, kept:
			away = append(away, c.name)
			continue
		case up, unknown:
			if c.drained {
				drained = append(drained, c.name)
				continue
			}
		}
		named = named || claims[i].named
		switch {
		case portions[i].cut:
			full = append(full, w.clusters[i].name)
		case claims[i].prefs.Weight > 0:
			atMax = true
		}
	}
	switch {
	case len(w.clusters) == 0:
		return "no cluster is selected"
	case len(away) == len(w.clusters):
		return "no cluster is left: " + untrusted.Some(away, 5) + " out of reach"
	case len(away)+len(drained) == len(w.clusters):
		return "no cluster is left: " + untrusted.Some(append(away, drained...), 5) + " out of reach or drained"
	case !named:
		return "no cluster that is in reach is named by the preferences"
	case len(full) > 0 && atMax:
		return "no room: capacity in " + untrusted.Some(full, 5) + "; max of every other cluster reached"
	case len(full) > 0:
		return "no room: capacity in " + untrusted.Some(full, 5)
	case !atMax:
		return "no cluster that is in reach has a weight"
	}
	return "max of every cluster reached"
}
