package replicas

import (
	"slices"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Standing is how a cluster counts when replicas are divided.
type Standing int

const (
	// Up means that the cluster's facts are current.
	Up Standing = iota
	// Offline means that the cluster has been away for as long as the threshold
	// demands. Its replicas are placed in other clusters.
	Offline
	// Lost means that a user declared the cluster lost. The effect is that of Offline.
	Lost
	// Kept means that the cluster cannot be read and must not be evacuated. It counts
	// as running what it ran last.
	Kept
	// Unknown means that the cluster has not been read since the start, and may run
	// anything.
	Unknown
)

// Workload is everything that the decision on one ReplicaSet or Deployment depends on.
type Workload struct {
	App         string
	Object      federation.ObjectRef
	File        string
	Key         string // "namespace/name"
	Total       int64  // spec.replicas in Git
	Preferences Preferences
	// Frozen reports that too many clusters went away at the same time, so that the
	// fault is attributed to fedsync's own network. Clusters that are away are kept.
	Frozen bool
	// Unsure reports that an autoscaler of the workload may be unknown: the count that
	// it set is not lowered.
	Unsure   bool
	Clusters []Cluster // in the order of fedsync.yaml
	// Refused are the clusters that KeepLast does not drain.
	Refused []string
}

// Cluster is a cluster that should run the workload. If the cluster cannot be read, its
// facts are the last known ones. The facts of an Unknown cluster are ignored.
type Cluster struct {
	Name     string
	Standing Standing
	Exists   bool  // the object exists
	Live     int64 // spec.replicas
	Ready    int64
	Current  int64
	Limited  bool
	Capacity int64
	// Drained reports that its traffic has moved away, and that its replicas are to
	// follow.
	Drained bool
	// Scaled reports that an autoscaler sets the replicas, whatever is decided.
	Scaled bool
}

// Decide returns what every cluster should run of the workload, and what to write
// there now.
func Decide(w Workload) federation.ReplicasDecision {
	total := max(0, w.Total)
	claims, fixed := w.claims()
	order := tieOrder(w.Key, claims)
	portions := divide(total-fixed, w.Preferences.Rebalance, claims, order)
	w.keepProbePod(portions)
	moves := w.moves(portions)
	w.holdProbePod(portions, moves)
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

// claims returns the claim of each cluster, and how many replicas run in clusters for
// which nothing is decided. The claim of a cluster that takes no part is empty.
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

// running returns the live count, or absent.
func (c *Cluster) running() int64 {
	if !c.Exists || c.Standing == Unknown {
		return absent
	}
	return c.Live
}

// keepProbePod leaves one pod pending in a cluster that would get a larger share if it
// had room. The cluster's limit is known only while a pod is pending. Without one, the
// limit would be forgotten, the cluster would get the larger share again, and so on
// forever. A plan that creates the object in another cluster needs no probe pod: whether
// that cluster has room is not known yet, and an object is created only one time.
func (w *Workload) keepProbePod(portions []portion) {
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

// holdProbePod also keeps the probe pod in a cluster that gets no larger share only
// because pods in other clusters count as running without being Ready. If they do not
// become Ready, they no longer count, and the cluster would get the larger share again.
func (w *Workload) holdProbePod(portions []portion, moves []move) {
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

// creates reports whether a cluster that lacks the object gets a share.
func (w *Workload) creates(portions []portion) bool {
	for i := range w.Clusters {
		if c := &w.Clusters[i]; c.Standing == Up && !c.Exists && portions[i].share > 0 {
			return true
		}
	}
	return false
}

// lacks reports whether an existing workload has fewer Ready pods than its share.
func (w *Workload) lacks(portions []portion, moves []move, i int) bool {
	return w.Clusters[i].Standing == Up && moves[i].live != absent && moves[i].ready < portions[i].share
}

// moves returns for each cluster what it runs and what it is to run.
func (w *Workload) moves(portions []portion) []move {
	moves := make([]move, len(w.Clusters))
	for i := range w.Clusters {
		c := &w.Clusters[i]
		m := move{live: c.running()}
		switch c.Standing {
		case Up, Unknown:
			m.target = portions[i].share + portions[i].overflow
		case Offline, Lost, Kept:
			// If the cluster returns, it must not lose what it runs before its
			// state has been read.
			m.target = max(0, m.live)
		}
		if c.Standing == Up { // in clusters that cannot be read, no pod is known to be Ready
			m.ready = max(0, min(c.Ready, m.live))
		}
		moves[i] = m
	}
	return moves
}

// restrain reverts changes that are not allowed now. While a cluster is Unknown, no
// existing count is lowered. Counts are then raised only with Rebalance, which does not
// depend on what runs in that cluster. While frozen, the counts change only by the
// difference between Git's total and the live counts: no count is raised to replace
// replicas that are away, or lowered because of pods that cannot be observed.
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
		limitChanges(moves, order, raise, lower)
	}
}

// why returns on one line why not all replicas could be placed.
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
		return "no cluster is left; out of reach: " + untrusted.Some(away, 5)
	case len(away)+len(drained) == len(w.Clusters):
		return "no cluster is left; out of reach or drained: " + untrusted.Some(append(away, drained...), 5)
	case !named:
		return "the preferences name no reachable cluster"
	case len(full) > 0 && atMax:
		return "no more capacity in " + untrusted.Some(full, 5) + "; every other cluster has reached its maximum"
	case len(full) > 0:
		return "no more capacity in " + untrusted.Some(full, 5)
	case !atMax:
		return "no reachable cluster has a weight"
	}
	return "every cluster has reached its maximum"
}
