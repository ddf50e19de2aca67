package replicas

import (
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Standing is what a cluster counts for when replicas are divided.
type Standing int

const (
	// Up is seen now: its facts are those of now.
	Up Standing = iota
	// Offline has been away for as long as the threshold says: its replicas are
	// placed elsewhere.
	Offline
	// Lost was declared so by a person, with the same effect.
	Lost
	// Kept is out of sight and not to be evacuated: it counts as running what it
	// ran last.
	Kept
	// Unknown has not been seen since the start, and may run anything.
	Unknown
)

// Workload is all that the decision on one ReplicaSet or Deployment depends on.
type Workload struct {
	App         string
	Object      federation.ObjectRef
	File        string
	Key         string // "namespace/name"
	Total       int64  // spec.replicas in Git
	Preferences Preferences
	// frozen says that too many clusters went away at once, so that the fault is
	// taken to be our own network. Those that are away are kept.
	Frozen bool
	// unsure says that an autoscaler of the workload may have gone unread: what it
	// set is not lowered.
	Unsure   bool
	Clusters []Cluster // in the order of fedsync.yaml
	// refused are clusters that KeepLast does not drain.
	Refused []string
}

// Cluster is a cluster where the workload belongs. The facts of one that is out of
// sight are the last ones; those of an unknown one are not read.
type Cluster struct {
	Name     string
	Standing Standing
	Exists   bool  // the object is there
	Live     int64 // spec.replicas
	Ready    int64
	Current  int64
	Limited  bool
	Capacity int64
	// drained says that its traffic is away, and that its replicas are to follow.
	Drained bool
	// scaled says that an autoscaler sets the replicas, whatever is decided.
	Scaled bool
}

// Decide says what every cluster should run of the workload, and what to write
// there now.
func Decide(w Workload) federation.ReplicasDecision {
	total := max(0, w.Total)
	claims, fixed := w.claims()
	order := tieOrder(w.Key, claims)
	portions := divide(total-fixed, w.Preferences.Rebalance, claims, order)
	w.feel(portions)
	moves := w.moves(portions)
	w.hold(portions, moves)
	shift(total, moves, order)
	w.restrain(total, moves, order)

	decision := federation.ReplicasDecision{
		App: w.App, Object: w.Object, File: w.File, Total: w.Total,
		Shares: make([]federation.ReplicasShare, len(w.Clusters)),
	}
	short := max(0, total-fixed)
	for i := range w.Clusters {
		c, p, m := &w.Clusters[i], &portions[i], &moves[i]
		short -= p.share
		s := federation.ReplicasShare{
			Cluster: c.Name, Share: p.share, Overflow: p.overflow, Basis: p.basis,
			Replicas: m.written, Live: m.live,
		}
		switch c.Standing {
		case Up:
			if c.Drained {
				s.Basis = federation.ShareDrained
			}
			if m.written > m.target {
				s.Basis = federation.ShareHeld
			}
		case Offline:
			s.Basis = federation.ShareOffline
		case Lost:
			s.Basis = federation.ShareLost
		case Kept:
			s.Basis, s.Share = federation.ShareKept, m.target
		case Unknown:
			s.Basis = federation.ShareKept
			decision.Waits = append(decision.Waits, c.Name)
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
func (w *Workload) claims() (claims []claim, fixed int64) {
	claims = make([]claim, len(w.Clusters))
	for i := range w.Clusters {
		c := &w.Clusters[i]
		claims[i].cluster = c.Name
		switch c.Standing {
		case Up, Unknown:
			if !c.Drained {
				claims[i].prefs, claims[i].named = w.Preferences.of(c.Name)
			}
		case Kept:
			fixed += max(0, c.running())
		case Offline, Lost:
		}
		if c.Standing == Up && c.Exists {
			claims[i].current, claims[i].limited, claims[i].capacity = c.Current, c.Limited, c.Capacity
		}
	}
	return claims, fixed
}

// running is the live count, or absent.
func (c *Cluster) running() int64 {
	if !c.Exists || c.Standing == Unknown {
		return absent
	}
	return c.Live
}

// feel leaves one pod pending in a cluster that would be asked for more if it had
// room. Its limit is known only as long as a pod is pending; were the last one
// taken away, the limit would be forgotten, the cluster asked again, and so for
// ever. A plan that creates the object elsewhere goes without: where those pods
// find no room either is yet to be seen, and happens once.
func (w *Workload) feel(portions []portion) {
	if w.creates(portions) {
		return
	}
	for i := range w.Clusters {
		c, p := &w.Clusters[i], &portions[i]
		if p.cut && p.overflow == 0 && c.Live > p.share {
			p.overflow = 1
		}
	}
}

// hold keeps that last pending pod also where the cluster would not be asked, but
// only because pods elsewhere that are not Ready count as running. If they do not
// become Ready, they will count no longer, and the cluster would be asked again.
func (w *Workload) hold(portions []portion, moves []move) {
	if w.Preferences.Rebalance || w.creates(portions) {
		return
	}
	lacking := 0
	for i := range moves {
		if w.lacks(portions, moves, i) {
			lacking++
		}
	}
	for i := range w.Clusters {
		elsewhere := lacking
		if w.lacks(portions, moves, i) {
			elsewhere--
		}
		if c := &w.Clusters[i]; c.Standing == Up && c.Exists && c.Limited && !c.Drained && elsewhere > 0 {
			moves[i].least = min(c.Live, max(0, c.Capacity)+1)
		}
	}
}

// creates says whether a portion is for a cluster that lacks the object.
func (w *Workload) creates(portions []portion) bool {
	for i := range w.Clusters {
		if c := &w.Clusters[i]; c.Standing == Up && !c.Exists && portions[i].share > 0 {
			return true
		}
	}
	return false
}

// lacks says whether an existing workload has fewer Ready pods than its share.
func (w *Workload) lacks(portions []portion, moves []move, i int) bool {
	return w.Clusters[i].Standing == Up && moves[i].live != absent && moves[i].ready < portions[i].share
}

// moves says for each cluster what runs and where it is to go.
func (w *Workload) moves(portions []portion) []move {
	moves := make([]move, len(w.Clusters))
	for i := range w.Clusters {
		c := &w.Clusters[i]
		m := move{live: c.running()}
		switch c.Standing {
		case Up, Unknown:
			m.target = portions[i].share + portions[i].overflow
		case Offline, Lost, Kept:
			// Should it turn out to live, it must not lose what it runs before it
			// has been looked at.
			m.target = max(0, m.live)
		}
		if c.Standing == Up { // of what is out of sight, nobody knows that it is Ready
			m.ready = max(0, min(c.Ready, m.live))
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
func (w *Workload) restrain(total int64, moves []move, order []int) {
	var live, visible, created int64
	waits := false
	for i := range w.Clusters {
		m := &moves[i]
		switch w.Clusters[i].Standing {
		case Up:
			visible += max(0, m.live)
			if m.live == absent {
				created += m.written
			}
		case Kept:
			live += max(0, m.live)
		case Unknown:
			waits = true
		case Offline, Lost:
		}
	}
	live += visible
	raise, lower := int64(Unbounded), int64(Unbounded)
	if w.Frozen {
		raise, lower = max(0, total-live-created), max(0, visible-total)
	}
	if w.Unsure {
		lower = 0
	}
	if waits {
		lower = 0
		if !w.Preferences.Rebalance {
			raise = 0
		}
	}
	if raise < Unbounded || lower < Unbounded {
		standStill(moves, order, raise, lower)
	}
}

// why says in one line why not all replicas could be placed.
func (w *Workload) why(claims []claim, portions []portion) string {
	var full, away, drained []string
	atMax, named := false, false
	for i := range w.Clusters {
		switch c := &w.Clusters[i]; c.Standing {
		case Offline, Lost, Kept:
			away = append(away, c.Name)
			continue
		case Up, Unknown:
			if c.Drained {
				drained = append(drained, c.Name)
				continue
			}
		}
		named = named || claims[i].named
		switch {
		case portions[i].cut:
			full = append(full, w.Clusters[i].Name)
		case claims[i].prefs.Weight > 0:
			atMax = true
		}
	}
	switch {
	case len(w.Clusters) == 0:
		return "no cluster is selected"
	case len(away) == len(w.Clusters):
		return "no cluster is left: " + untrusted.Some(away, 5) + " out of reach"
	case len(away)+len(drained) == len(w.Clusters):
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
