package replicas

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A tick of the simulation is 15 seconds.
const (
	minute     = 4   // ticks until a pod counts as stuck
	threshold  = 2   // ticks away until a cluster is Offline
	quietTicks = 160 // 40 minutes without an event
	restTicks  = 40  // so many at the end must bring no change
)

// universe simulates simulated clusters, what fedsync sees of them, and its decisions.
type universe struct {
	*rand.Rand

	total    int64
	prefs    Preferences
	clusters []*simulated
	frozen   bool
	log      []string
}

// simulated is one simulated cluster.
type simulated struct {
	name string
	room int64 // pods that its nodes hold
	// broken pods start, but never become Ready.
	broken bool
	// stalled says that the ReplicaSet controller does nothing.
	stalled bool

	away   bool // it does not answer
	locked bool // it does not let us look
	gone   int  // ticks since it was away
	seen   bool // since fedsync's start
	lost   bool // somebody says so in Git
	drain  bool // somebody says so in Git, and its traffic is away

	exists bool
	spec   int64
	pods   []*pod // the oldest first

	facts Cluster // as seen last
}

type pod struct {
	scheduled, ready bool
	age              int // ticks
	unready          int // ticks since it was Ready
}

func newUniverse(r *rand.Rand) *universe {
	u := &universe{Rand: r}
	for i := range 1 + r.IntN(5) {
		u.clusters = append(u.clusters, &simulated{name: fmt.Sprintf("c%d", i), room: 1000, seen: true})
	}
	u.retotal()
	u.reweigh()
	return u
}

func (u *universe) note(format string, args ...any) {
	u.log = append(u.log, fmt.Sprintf(format, args...))
}

func (u *universe) retotal() { u.total = u.Int64N(40) }

func (u *universe) reweigh() {
	u.prefs = Preferences{Rebalance: u.IntN(2) == 0}
	if u.IntN(3) == 0 {
		return
	}
	u.prefs.Clusters = map[string]ClusterPreferences{}
	for _, m := range u.clusters {
		if u.IntN(8) == 0 {
			continue
		}
		p := ClusterPreferences{Max: Unbounded, Weight: u.Int64N(6)}
		if u.IntN(3) == 0 {
			p.Min = u.Int64N(12)
		}
		if u.IntN(3) == 0 {
			p.Max = p.Min + u.Int64N(12)
		}
		u.prefs.Clusters[m.name] = p
	}
}

// happen lets one thing happen.
func (u *universe) happen() {
	m := u.clusters[u.IntN(len(u.clusters))]
	switch u.IntN(18) {
	case 0, 1:
		m.away, m.locked, m.gone = !m.away, false, 0
		u.note("%s away %t", m.name, m.away)
	case 2:
		m.locked = !m.locked
		u.note("%s locked %t", m.name, m.locked)
	case 3: // a power cut: the pods start again
		for _, p := range m.pods {
			p.ready, p.age, p.unready = false, 0, 0
		}
		u.note("%s restarts its pods", m.name)
	case 4: // a rollout of some pods
		for _, p := range m.pods {
			if u.IntN(2) == 0 {
				p.ready, p.age, p.unready = false, 0, 0
			}
		}
		u.note("%s rolls out", m.name)
	case 5, 6:
		m.broken = !m.broken
		u.note("%s broken %t", m.name, m.broken)
	case 7, 8, 9:
		m.room = []int64{1000, u.Int64N(20), u.Int64N(10)}[u.IntN(3)]
		u.note("%s room %d", m.name, m.room)
	case 10:
		u.reweigh()
		u.note("preferences %+v", u.prefs)
	case 11:
		u.retotal()
		u.note("total %d", u.total)
	case 12:
		for _, m := range u.clusters {
			m.seen = false
			m.gone = 0
		}
		u.note("fedsync restarts")
	case 13:
		m.stalled = !m.stalled
		u.note("%s stalled %t", m.name, m.stalled)
	case 14:
		m.lost = !m.lost
		u.note("%s lost %t", m.name, m.lost)
	case 16, 17:
		m.drain = !m.drain
		u.note("%s drain %t", m.name, m.drain)
	case 15: // somebody's hand
		if m.exists {
			m.spec = u.Int64N(30)
			u.note("%s scaled to %d by hand", m.name, m.spec)
		}
	}
}

// Live is one tick in the life of a cluster: the ReplicaSet controller, the
// scheduler and the kubelets do their part.
func (m *simulated) live() {
	m.control()
	var scheduled int64
	for _, p := range m.pods {
		if p.scheduled {
			scheduled++
		}
	}
	for i := len(m.pods) - 1; i >= 0 && scheduled > m.room; i-- { // nodes went away
		if p := m.pods[i]; p.scheduled {
			*p = pod{}
			scheduled--
		}
	}
	for _, p := range m.pods {
		if !p.scheduled && scheduled < m.room {
			p.scheduled, p.age = true, 0
			scheduled++
		}
		p.age++
		switch {
		case m.broken:
			p.ready = false
		case p.scheduled && p.age > 2:
			p.ready = true
		}
		p.unready++
		if p.ready {
			p.unready = 0
		}
	}
}

// control makes as many pods as spec.replicas says. Those that go first are not
// scheduled, then not Ready, then young, as the real controller has it.
func (m *simulated) control() {
	if m.stalled {
		return
	}
	for int64(len(m.pods)) < m.spec {
		m.pods = append(m.pods, &pod{})
	}
	if excess := len(m.pods) - int(m.spec); excess > 0 {
		keep := slices.Clone(m.pods)
		rank := func(p *pod) int {
			switch {
			case !p.scheduled:
				return 2
			case !p.ready:
				return 1
			}
			return 0
		}
		slices.SortStableFunc(keep, func(a, b *pod) int { return cmp.Compare(rank(a), rank(b)) })
		keep = keep[:m.spec]
		m.pods = slices.DeleteFunc(m.pods, func(p *pod) bool { return !slices.Contains(keep, p) })
	}
}

func (m *simulated) ready() (n int64) {
	for _, p := range m.pods {
		if p.ready {
			n++
		}
	}
	return n
}

// look collects the facts as pkg/facts does.
func (m *simulated) look() {
	var scheduled, stuck, pending, stuckPending int64
	for _, p := range m.pods {
		if p.scheduled {
			scheduled++
		} else {
			pending++
		}
		if p.unready >= minute {
			stuck++
			if !p.scheduled {
				stuckPending++
			}
		}
	}
	f := &m.facts
	f.Exists, f.Live, f.Ready, f.Current = m.exists, m.spec, m.ready(), max(0, m.spec-stuck)
	switch {
	case pending == 0:
		f.Limited, f.Capacity = false, 0
	case f.Limited:
		f.Capacity = max(f.Capacity, scheduled)
	case stuckPending > 0:
		f.Limited, f.Capacity = true, scheduled
	}
}

// stand judges the clusters as the caller of decide does.
func (u *universe) stand() {
	fresh, out := 0, 0
	for _, m := range u.clusters {
		if m.away || m.locked {
			out++
			if m.gone == 0 {
				fresh++
			}
			m.gone++
		} else {
			m.gone = 0
		}
	}
	if 2*fresh > len(u.clusters) && len(u.clusters) > 1 {
		u.frozen = true
	}
	if 2*out <= len(u.clusters) {
		u.frozen = false
	}
	for _, m := range u.clusters {
		m.facts.Name = m.name
		switch {
		case !m.away && !m.locked && !m.lost:
			if !m.seen {
				m.facts = Cluster{Name: m.name} // a restart forgets
			}
			m.seen = true
			m.facts.Standing = Up
			m.look()
		case m.lost:
			m.facts.Standing = Lost
		case m.away && m.gone > threshold && (!u.frozen || !m.seen):
			m.facts.Standing = Offline
		case !m.seen:
			m.facts.Standing = Unknown
		default:
			m.facts.Standing = Kept
		}
		m.facts.Drained = m.drain && m.facts.Standing == Up
	}
}

// tick is one pass; it says whether a count was written that was not there.
func (u *universe) tick() (changed bool, err error) {
	for _, m := range u.clusters {
		m.live()
	}
	u.stand()
	w := Workload{Key: "default/web", Total: u.total, Preferences: u.prefs, Frozen: u.frozen}
	for _, m := range u.clusters {
		w.Clusters = append(w.Clusters, m.facts)
	}
	w.KeepLast()
	decision := Decide(w)
	if err := judge(w, decision); err != nil {
		return false, err
	}
	var line []string
	for i, s := range decision.Shares {
		m := u.clusters[i]
		line = append(line, fmt.Sprintf("%s:%d/%d r%d c%d cap%d(%t) %d+%d→%d %s", m.name, m.facts.Standing, s.Live, m.facts.Ready, m.facts.Current, m.facts.Capacity, m.facts.Limited, s.Share, s.Overflow, s.Replicas, s.Basis))
		if m.facts.Standing != Up || m.exists && m.spec == s.Replicas {
			continue
		}
		before := m.ready()
		m.exists, m.spec, changed = true, s.Replicas, true
		m.control()
		if after := m.ready(); after < min(before, s.Replicas) {
			return false, fmt.Errorf("the simulated controller of %s left %d of %d Ready pods for %d", m.name, after, before, s.Replicas)
		}
	}
	u.note("  total %d short %d %q frozen %t: %s", u.total, decision.Shortfall, decision.Reason, u.frozen, strings.Join(line, ", "))
	return changed, nil
}

// judge holds one decision to what must be true of all.
func judge(w Workload, d federation.ReplicasDecision) error {
	var before, after, shares, live, visible, created int64
	unknowns, lowered, raised := 0, false, false
	for i, s := range d.Shares {
		c := w.Clusters[i]
		if c.Standing == Unknown {
			unknowns++
		}
		if c.Standing == Up || c.Standing == Kept && !w.Frozen {
			ready := max(0, min(c.Ready, s.Live))
			before += ready
			after += min(ready, s.Replicas)
		}
		if c.Standing != Offline && c.Standing != Lost {
			shares += s.Share
			live += max(0, s.Live)
		}
		if c.Standing == Up {
			visible += max(0, s.Live)
			lowered = lowered || s.Live > s.Replicas
			raised = raised || s.Live >= 0 && s.Live < s.Replicas
			if s.Live < 0 {
				created += s.Replicas
			}
		} else if s.Live >= 0 && s.Replicas != s.Live {
			return fmt.Errorf("%s is out of sight and to go from %d to %d", c.Name, s.Live, s.Replicas)
		}
		p, _ := w.Preferences.of(c.Name)
		if c.Drained && s.Share > 0 {
			return fmt.Errorf("%s is drained and has a share of %d", c.Name, s.Share)
		}
		if c.Standing == Up && (s.Share > p.Max || c.Limited && s.Share > max(0, c.Capacity)) {
			return fmt.Errorf("share %d in %s is over max or capacity", s.Share, c.Name)
		}
	}
	switch {
	case after < min(before, w.Total):
		return fmt.Errorf("of %d Ready pods %d would remain; total %d", before, after, w.Total)
	case shares+d.Shortfall < w.Total:
		return fmt.Errorf("shares are %d of %d, and %d are reported short", shares, w.Total, d.Shortfall)
	case (d.Shortfall > 0) != (d.Reason != ""):
		return fmt.Errorf("shortfall %d for the reason %q", d.Shortfall, d.Reason)
	case unknowns != len(d.Waits):
		return fmt.Errorf("%d clusters are unknown, and waited for are %v", unknowns, d.Waits)
	case unknowns > 0 && lowered:
		return fmt.Errorf("a count is lowered while %v are unknown", d.Waits)
	case unknowns > 0 && raised && !w.Preferences.Rebalance:
		return fmt.Errorf("a count is raised while %v are unknown", d.Waits)
	case w.Frozen && lowered && w.Total >= visible:
		return fmt.Errorf("a count is lowered while frozen: %d in sight, total %d", visible, w.Total)
	case w.Frozen && raised && w.Total <= live:
		return fmt.Errorf("a count is raised while frozen: %d live, total %d", live, w.Total)
	}
	return nil
}

// After any history the plan comes to rest when the world does, and no act on the
// way costs Ready pods that the total asks for.
func TestThePlanSettlesAfterAnyHistory(t *testing.T) {
	seeds := rng(t)
	histories := 2000
	if testing.Short() {
		histories = 200
	}
	for range histories {
		seed := seeds.Uint64()
		u := newUniverse(rand.New(rand.NewPCG(seed, 1)))
		if err := u.run(); err != nil {
			t.Fatalf("history %d: %v\n%s", seed, err, strings.Join(u.log[max(0, len(u.log)-60):], "\n"))
		}
	}
}

func (u *universe) run() error {
	for range 60 {
		for u.IntN(3) == 0 {
			u.happen()
		}
		if _, err := u.tick(); err != nil {
			return err
		}
	}
	u.note("quiet, preferences %+v", u.prefs)
	for i := range quietTicks {
		changed, err := u.tick()
		if err != nil {
			return err
		}
		if changed && i >= quietTicks-restTicks {
			return fmt.Errorf("counts still change after %d quiet ticks", i)
		}
	}
	return u.healthy()
}

// healthy judges a world at rest where nothing is wrong: all Ready, nothing held.
func (u *universe) healthy() error {
	var spec, ready int64
	var most, drained int64
	for _, m := range u.clusters {
		if m.away || m.locked || m.lost || m.broken || m.stalled || m.room < 1000 {
			return nil
		}
		spec += m.spec
		ready += m.ready()
		if m.facts.Drained && slices.ContainsFunc(u.clusters, u.takes) {
			drained += m.spec
			continue
		}
		if p, named := u.prefs.of(m.name); named && p.Weight > 0 {
			most = add(most, p.Max)
		} else if named {
			most = add(most, p.Min)
		}
	}
	if drained > 0 && most >= u.total {
		return fmt.Errorf("at rest %d still run in clusters that are drained; total %d, allowed elsewhere %d", drained, u.total, most)
	}
	if drained > 0 {
		return nil // the others may not run all of it
	}
	if want := min(u.total, most); ready < want || spec != ready || spec > u.total {
		return fmt.Errorf("at rest %d run and %d are Ready; total %d, allowed %d", spec, ready, u.total, most)
	}
	return nil
}

// takes reports whether a cluster may run what the drained ones give up.
func (u *universe) takes(m *simulated) bool {
	return !m.facts.Drained && (&Workload{Preferences: u.prefs}).mayRun(&m.facts)
}
