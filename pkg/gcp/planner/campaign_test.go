package planner_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/raced"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

var (
	planSeed = flag.Uint64("planseed", 1, "seed of the first history of plans")
	planRuns = flag.Int("plans", raced.Share(60), "how many histories of plans are played; 1000 with FEDSYNC_TEST_LONG=1")
)

// TestPlansNeverBreakWhatServes plays random histories: clusters join, drain, leave and
// become invisible, nodes change, users edit, delete and use our resources, reads fail in
// part, actions fail, and executions stop anywhere. The invariants are checked after every
// action. At the end, everything is as wanted within a few turns.
//
// To play only a seed that failed:
//
//	go test ./pkg/gcp/planner -run TestPlansNeverBreakWhatServes -planseed=N -plans=1
func TestPlansNeverBreakWhatServes(t *testing.T) {
	runs := *planRuns
	if os.Getenv("FEDSYNC_TEST_LONG") != "" {
		runs = max(runs, 1000)
	}
	total := map[gcp.Verb]int{}
	for i := range runs {
		seed := *planSeed + uint64(i) //nolint:gosec // a count
		h := newPlanHistory(seed)
		if err := h.play(25); err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, strings.Join(h.log, "\n"))
			return
		}
		for verb, n := range h.count {
			total[verb] += n
		}
	}
	t.Logf("%d histories from seed %d; actions: %v", runs, *planSeed, total)
}

// planHistory is one history, and what happened in it.
type planHistory struct {
	rng   *rand.Rand
	world *world
	model *gcptest.Model
	hand  gcptest.Hand
	log   []string
	count map[gcp.Verb]int
}

func newPlanHistory(seed uint64) *planHistory {
	rng := rand.New(rand.NewPCG(seed, 8)) //nolint:gosec // a test that can be repeated
	h := &planHistory{rng: rng, world: newWorld(rng), model: gcptest.NewModel(), count: map[gcp.Verb]int{}}
	h.hand = gcptest.Hand{M: h.model, Owner: us}
	for _, r := range bystanders() {
		h.model.Resources[r.ID] = h.model.Stamp(r)
	}
	return h
}

func (h *planHistory) play(steps int) error {
	for step := range steps {
		for range h.rng.IntN(3) {
			h.note("step %d: %s", step, h.world.change(h.rng))
		}
		if h.rng.IntN(3) == 0 {
			h.note("step %d: %s", step, h.hand.Edit(h.rng))
		}
		h.reserve(h.rng.IntN(3) > 0)
		look := h.model.Observe()
		if h.rng.IntN(3) == 0 {
			look = gcptest.Partial(look, h.rng)
		}
		if _, err := h.round(look, h.rng.IntN(2) == 0); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
	}
	return h.settle()
}

// settle ends all disturbances, and executes plans until nothing is left to do.
func (h *planHistory) settle() error {
	for _, c := range h.world.clusters {
		c.unseen = false
	}
	for _, undo := range h.hand.Undo {
		undo()
	}
	h.reserve(true)
	h.note("no disturbances are left")
	const enough = 4
	for range enough {
		planned, err := h.round(h.model.Observe(), false)
		if err != nil {
			return err
		}
		if planned.Settled {
			return h.compare()
		}
	}
	return fmt.Errorf("not settled after %d turns", enough)
}

// compare checks that our resources are exactly the wanted ones.
func (h *planHistory) compare() error {
	want := h.world.wanted()
	for id, w := range want.Resources {
		o, ok := h.model.Resources[id]
		if !ok {
			return fmt.Errorf("settled without %s", id)
		}
		if fields := gcp.Differences(w.Spec, o.Spec); len(fields) > 0 {
			return fmt.Errorf("settled, and %s differs in %v", id, fields)
		}
		g, _ := w.Spec.(gcp.Group)
		now, _ := o.Spec.(gcp.Group)
		if !maps.Equal(planner.EndpointSet(g.Endpoints), planner.EndpointSet(now.Endpoints)) {
			return fmt.Errorf("settled, and %s has endpoints %v, not %v", id, now.Endpoints, g.Endpoints)
		}
	}
	for id, o := range h.model.Resources {
		if _, ok := want.Resources[id]; !ok && us.Owns(o.Mark) && id.Kind != gcp.KindAddress {
			return fmt.Errorf("settled, and %s is left over", id)
		}
	}
	return nil
}

func (h *planHistory) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// reserve creates the addresses that the user has to provide.
func (h *planHistory) reserve(all bool) {
	for id, w := range h.world.wanted().Resources {
		if _, ok := h.model.Resources[id]; !ok && all && id.Kind == gcp.KindAddress && w.Mark.Federation == "" {
			_ = h.model.Create(gcp.Resource{ID: id, Spec: gcp.Address{}})
		}
	}
}

// round makes a plan and executes it in a random order that its dependencies allow. If
// failures are allowed, some actions fail, before or after their effect, and the execution
// may stop anywhere.
func (h *planHistory) round(look gcp.Observed, failing bool) (gcp.Planned, error) {
	want := h.world.wanted()
	planned := planner.Plan(want, look)
	if again := planner.Plan(h.world.wanted(), gcptest.CloneObserved(look)); !reflect.DeepEqual(planned, again) {
		return planned, fmt.Errorf("equal input, different plans:\n%v\n%v", planned.Actions, again.Actions)
	}
	if planned.Settled && len(planned.Actions) > 0 {
		return planned, fmt.Errorf("settled with %d actions", len(planned.Actions))
	}
	for _, f := range planned.Findings {
		h.note("finding: %s", f)
	}
	before := newBaseline(want, h.model, look)
	const waiting, done, failed = 0, 1, 2
	state := make([]int, len(planned.Actions))
	for {
		var free []int
		for i, a := range planned.Actions {
			for _, j := range a.After {
				if j >= i {
					return planned, fmt.Errorf("%v waits for a later action", a)
				}
			}
			if state[i] == waiting && !slices.ContainsFunc(a.After, func(j int) bool { return state[j] != done }) {
				free = append(free, i)
			}
		}
		if len(free) == 0 {
			return planned, nil
		}
		i := free[h.rng.IntN(len(free))]
		a := planned.Actions[i]
		state[i] = done
		if failing {
			switch h.rng.IntN(12) {
			case 0:
				h.note("  crash")
				return planned, nil
			case 1:
				state[i] = failed
				h.note("  fails: %s", a)
				continue
			case 2:
				state[i] = failed
				h.note("  answer lost: %s", a)
			}
		}
		h.note("  %d %s after %v", i, a, a.After)
		h.count[a.Verb]++
		if err := h.model.Do(a); err != nil {
			return planned, fmt.Errorf("%v: %w", a, err)
		}
		if err := before.check(h.model, a); err != nil {
			return planned, fmt.Errorf("after %v: %w", a, err)
		}
	}
}

// baseline is the state at the time of a plan.
type baseline struct {
	want    gcp.Wanted
	blind   bool                    // the firewall rule could not be read, which stops nothing
	foreign map[gcp.ID]gcp.Resource // foreign and held resources, which must not change
	stays   map[gcp.ID]bool         // wanted and existing: never gone
	serves  map[gcp.ID]bool         // backend services that serve, and should
	filled  map[gcp.ID]bool         // groups that have endpoints, and should have some
	closed  map[string]bool         // "service group": backends that no firewall rule lets in
}

func newBaseline(want gcp.Wanted, m *gcptest.Model, look gcp.Observed) *baseline {
	_, seen := look.Resources[gcp.ID{Kind: gcp.KindFirewall, Name: "fs-fw"}]
	b := &baseline{want: want, blind: !seen && !look.Complete[gcp.KindFirewall], foreign: map[gcp.ID]gcp.Resource{}, stays: map[gcp.ID]bool{}, serves: map[gcp.ID]bool{}, filled: map[gcp.ID]bool{}, closed: map[string]bool{}}
	for id, r := range m.Resources {
		_, held := want.Held[id]
		if !us.Owns(r.Mark) || held {
			b.foreign[id] = r
		}
		if _, ok := want.Resources[id]; ok {
			b.stays[id] = true
		}
		if g, ok := r.Spec.(gcp.Group); ok {
			w, _ := want.Resources[id].Spec.(gcp.Group)
			// A single address that gets another port has to leave before it returns.
			b.filled[id] = len(g.Endpoints) > 0 && len(w.Endpoints) > 0 && len(g.Endpoints)+len(w.Endpoints) > 2
		}
		s, ok := r.Spec.(gcp.Service)
		if !ok || !us.Owns(r.Mark) {
			continue
		}
		if b.live(m, s) && b.toServe(m, id) {
			b.serves[id] = true
		}
		for _, backend := range s.Backends {
			if !b.open(m, backend.Group) || !b.tagged(m, backend.Group) {
				b.closed[id.String()+" "+backend.Group.String()] = true
			}
		}
	}
	return b
}

// live reports whether a backend service has an endpoint that should serve, or that leaves
// with its group.
func (b *baseline) live(m *gcptest.Model, s gcp.Service) bool {
	for _, backend := range s.Backends {
		g, _ := m.Resources[backend.Group].Spec.(gcp.Group)
		w, wanted := b.want.Resources[backend.Group]
		keep, _ := w.Spec.(gcp.Group)
		if _, held := b.want.Held[backend.Group]; held {
			keep = g // it stays unchanged
		}
		for _, e := range g.Endpoints {
			if backend.Capacity > 0 && (!wanted || slices.Contains(keep.Endpoints, e)) {
				return true
			}
		}
	}
	return false
}

func (b *baseline) toServe(m *gcptest.Model, id gcp.ID) bool {
	s, _ := b.want.Resources[id].Spec.(gcp.Service)
	for _, backend := range s.Backends {
		g, _ := b.want.Resources[backend.Group].Spec.(gcp.Group)
		if _, held := b.want.Held[backend.Group]; held {
			g, _ = m.Resources[backend.Group].Spec.(gcp.Group)
		}
		if backend.Capacity > 0 && len(g.Endpoints) > 0 {
			return true
		}
	}
	return false
}

// open reports whether a firewall rule of ours admits traffic to the group, if a rule is
// wanted.
func (b *baseline) open(m *gcptest.Model, group gcp.ID) bool {
	rule, wanted := b.want.Resources[gcp.ID{Kind: gcp.KindFirewall, Name: "fs-fw"}]
	r, there := m.Resources[rule.ID]
	if !wanted || b.blind || there && !us.Owns(r.Mark) {
		return true
	}
	f, _ := r.Spec.(gcp.Firewall)
	g, _ := m.Resources[group].Spec.(gcp.Group)
	for _, e := range g.Endpoints {
		w, wanted := b.want.Resources[group].Spec.(gcp.Group)
		_, held := b.want.Held[group]
		if wanted && !held && !slices.Contains(w.Endpoints, e) {
			continue
		}
		if !slices.Contains(f.Ports, e.Port) {
			return false
		}
	}
	return len(g.Endpoints) == 0 || b.tagged(m, group)
}

// tagged reports whether the firewall rule is for the group's cluster.
func (b *baseline) tagged(m *gcptest.Model, group gcp.ID) bool {
	f, _ := m.Resources[gcp.ID{Kind: gcp.KindFirewall, Name: "fs-fw"}].Spec.(gcp.Firewall)
	return !f.Disabled && slices.Contains(f.Tags, "tag-"+m.Resources[group].Mark.Cluster)
}

func (b *baseline) check(m *gcptest.Model, a gcp.Action) error {
	for id, r := range b.foreign {
		if !gcptest.SameResource(m.Resources[id], r) {
			return fmt.Errorf("%s was touched", id)
		}
	}
	for id := range b.stays {
		if _, ok := m.Resources[id]; !ok {
			return fmt.Errorf("%s is gone, and wanted", id)
		}
	}
	for id := range b.serves {
		if s, _ := m.Resources[id].Spec.(gcp.Service); !b.live(m, s) {
			return fmt.Errorf("%s serves no more", id)
		}
	}
	for id, r := range m.Resources {
		if err := m.Refers(r); err != nil {
			return err
		}
		if g, ok := r.Spec.(gcp.Group); ok && b.filled[id] && len(g.Endpoints) == 0 {
			return fmt.Errorf("%s is empty", id)
		}
		s, ok := r.Spec.(gcp.Service)
		if !ok || !us.Owns(r.Mark) {
			continue
		}
		for _, backend := range s.Backends {
			if !b.open(m, backend.Group) && !b.closed[id.String()+" "+backend.Group.String()] {
				return fmt.Errorf("no firewall rule lets %s in to %s", id, backend.Group)
			}
		}
	}
	return b.behind(m, a)
}

// behind checks that no group is behind a backend service before it has its endpoints.
func (b *baseline) behind(m *gcptest.Model, a gcp.Action) error {
	s, ok := a.Want.Spec.(gcp.Service)
	if !ok || a.Verb != gcp.Create {
		return nil
	}
	for _, backend := range s.Backends {
		w, _ := b.want.Resources[backend.Group].Spec.(gcp.Group)
		g, _ := m.Resources[backend.Group].Spec.(gcp.Group)
		if len(w.Endpoints) > 0 && len(g.Endpoints) == 0 {
			return fmt.Errorf("%s has an empty backend %s", a.ID, backend.Group)
		}
	}
	return nil
}
