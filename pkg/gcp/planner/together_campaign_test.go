package planner_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

// TestWhatIsBuiltAndPlannedNeverStopsTraffic plays random histories of a federation with
// both Build and Plan. Clusters join, drain, leave, die and return, nodes come and go, node
// ports move, users edit and delete, reads fail in part, and executions stop anywhere. If
// one cluster that should serve had a healthy endpoint behind the address, some cluster
// still has one after every action.
//
// To play only a seed that failed:
//
//	go test ./pkg/gcp/planner -run TestWhatIsBuiltAndPlannedNeverStopsTraffic -planseed=N -plans=1
func TestWhatIsBuiltAndPlannedNeverStopsTraffic(t *testing.T) {
	runs := (*planRuns + 2) / 3
	if os.Getenv("FEDSYNC_TEST_LONG") != "" {
		runs = max(runs, 1000)
	}
	total := map[gcp.Verb]int{}
	for i := range runs {
		seed := *planSeed + uint64(i) //nolint:gosec // a count
		h := newSceneHistory(seed)
		if err := h.play(20); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(h.log, "\n"))
		}
		for verb, n := range h.count {
			total[verb] += n
		}
	}
	t.Logf("%d histories from seed %d; actions: %v", runs, *planSeed, total)
}

// sceneHistory is one history of a scene.
type sceneHistory struct {
	rng   *rand.Rand
	scene *gcptest.Scene
	hand  gcptest.Hand
	dead  map[string]bool // clusters that neither answer nor serve
	nodes int             // ever added
	log   []string
	count map[gcp.Verb]int
}

func newSceneHistory(seed uint64) *sceneHistory {
	rng := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // a test that can be repeated
	s := gcptest.NewScene(2 + rng.IntN(2))
	h := &sceneHistory{rng: rng, scene: s, dead: map[string]bool{}, nodes: 10, count: map[gcp.Verb]int{}}
	h.hand = gcptest.Hand{M: s.Cloud, Owner: new(s.Input()).Owner()}
	return h
}

func (h *sceneHistory) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *sceneHistory) play(steps int) error {
	s := h.scene
	for step := range steps {
		for range h.rng.IntN(3) {
			h.note("step %d: %s", step, h.change())
		}
		if h.rng.IntN(4) == 0 {
			h.note("step %d: %s", step, h.hand.Edit(h.rng))
		}
		s.Partial = nil
		if h.rng.IntN(4) == 0 {
			h.note("step %d: the look is partial", step)
			s.Partial = func(o *gcp.Observed) { *o = gcptest.Partial(*o, h.rng) }
		}
		s.Pass(time.Duration(h.rng.IntN(90)) * time.Second)
		if _, err := h.round(h.rng.IntN(2) == 0); err != nil {
			return fmt.Errorf("step %d: %w", step, err)
		}
	}
	return h.settle()
}

// settle ends all disturbances and waits until nothing is left to do.
func (h *sceneHistory) settle() error {
	s := h.scene
	for name := range h.dead {
		h.revive(name)
	}
	for i := range s.Federation.Clusters {
		s.Federation.Clusters[i].Drain = false
	}
	for _, undo := range h.hand.Undo {
		undo()
	}
	s.Partial = nil
	h.note("no disturbances are left")
	var planned gcp.Planned
	quiet := 0
	for range 80 { // rates change by a tenth in a minute
		var err error
		if planned, err = h.round(false); err != nil {
			return err
		}
		if planned.Settled {
			quiet++
		} else {
			quiet = 0
		}
		if quiet == 4 { // the passing of time had no effect either
			return h.compare()
		}
		s.Pass(time.Minute)
	}
	return fmt.Errorf("not settled: %s", lines(planned))
}

// compare checks that exactly the clusters that should serve do.
func (h *sceneHistory) compare() error {
	want := h.scene.Build()
	for id, r := range want.Resources {
		o, ok := h.scene.Cloud.Resources[id]
		if !ok || len(gcp.Changed(r, o)) > 0 {
			return fmt.Errorf("settled without %s as it is wanted", id)
		}
	}
	for id, r := range h.scene.Cloud.Resources {
		g, ok := r.Spec.(gcp.Group)
		if !ok || !h.hand.Owner.Owns(r.Mark) {
			continue
		}
		c := h.scene.Cluster(r.Mark.Cluster)
		if c == nil {
			return fmt.Errorf("settled, and %s of cluster %s is left", id, r.Mark.Cluster)
		}
		for _, e := range g.Endpoints {
			if !h.exists(r.Mark.Cluster, e) {
				return fmt.Errorf("settled, and %s has an endpoint %v that is not a node", id, e)
			}
		}
	}
	return nil
}

func (h *sceneHistory) round(failing bool) (gcp.Planned, error) {
	s := h.scene
	look := s.Observe()
	want := balancer.Build(s.Input(), look)
	planned := planner.Plan(want, look)
	for _, f := range slices.Concat(want.Findings, planned.Findings) {
		h.note("finding: %s", f)
	}
	before := h.serving()
	state := make([]int, len(planned.Actions))
	defer s.Probe()
	for {
		i := h.next(planned, state)
		if i < 0 {
			return planned, nil
		}
		a := planned.Actions[i]
		state[i] = 1
		if failing {
			switch h.rng.IntN(12) {
			case 0:
				h.note("  crash")
				return planned, nil
			case 1:
				state[i] = 2
				h.note("  fails: %s", a)
				continue
			}
		}
		h.note("  %d %s after %v", i, a, a.After)
		h.count[a.Verb]++
		there, exists := s.Cloud.Resources[a.ID]
		err := s.Cloud.Do(a)
		// A read does not show foreign resources under names that were not wanted then, nor
		// the foreign users of our resources: Compute Engine refuses the action.
		taken := a.Verb == gcp.Create && exists && !h.hand.Owner.Owns(there.Mark)
		if err != nil && (taken || a.Verb == gcp.Delete && h.usedElsewhere(a.ID)) {
			state[i] = 2
			continue
		}
		if err != nil {
			return planned, fmt.Errorf("%v: %w", a, err)
		}
		if a.Verb == gcp.Detach {
			s.Left[a.Want.Mark.Cluster] = s.Now
		}
		if now := h.serving(); before && !now {
			return planned, fmt.Errorf("after %v: %w", a, errors.New("nothing serves now"))
		}
		if err := h.whole(); err != nil {
			return planned, fmt.Errorf("after %v: %w", a, err)
		}
	}
}

// usedElsewhere reports whether a foreign resource refers to this one.
func (h *sceneHistory) usedElsewhere(id gcp.ID) bool {
	return slices.ContainsFunc(h.scene.Cloud.Users(id), func(by gcp.ID) bool {
		return !h.hand.Owner.Owns(h.scene.Cloud.Resources[by].Mark)
	})
}

// next returns the index of an action that may be executed now; -1 if there is none.
func (h *sceneHistory) next(planned gcp.Planned, state []int) int {
	var free []int
	for i, a := range planned.Actions {
		if state[i] == 0 && !slices.ContainsFunc(a.After, func(j int) bool { return state[j] != 1 }) {
			free = append(free, i)
		}
	}
	if len(free) == 0 {
		return -1
	}
	return free[h.rng.IntN(len(free))]
}

// whole checks that no reference dangles.
func (h *sceneHistory) whole() error {
	for _, r := range h.scene.Cloud.Resources {
		if err := h.scene.Cloud.Refers(r); err != nil {
			return err
		}
	}
	return nil
}

// serving follows a request through a forwarding rule to an endpoint with capacity, on a
// node of a cluster that answers.
func (h *sceneHistory) serving() bool {
	for id, r := range h.scene.Cloud.Resources {
		rule, ok := r.Spec.(gcp.Rule)
		if ok && h.hand.Owner.Owns(r.Mark) && id.Kind == gcp.KindRule && h.reaches(rule.Target) {
			return true
		}
	}
	return false
}

func (h *sceneHistory) reaches(id gcp.ID) bool {
	r := h.scene.Cloud.Resources[id]
	switch spec := r.Spec.(type) {
	case gcp.Proxy:
		return h.reaches(spec.URLMap)
	case gcp.URLMap:
		return h.reaches(spec.Default.Service)
	case gcp.Service:
		return slices.ContainsFunc(spec.Backends, func(b gcp.Backend) bool { return b.Capacity > 0 && h.reaches(b.Group) })
	case gcp.Group:
		return slices.ContainsFunc(spec.Endpoints, func(e gcp.Endpoint) bool {
			cluster := strings.Split(e.Instance, "-")[1] // a mark may have been removed
			return h.exists(cluster, e) && !h.dead[cluster]
		})
	}
	return false
}

// exists reports whether an endpoint is a node of a cluster of the federation.
func (h *sceneHistory) exists(cluster string, e gcp.Endpoint) bool {
	return slices.ContainsFunc(h.scene.Facts[cluster].Nodes, func(n federation.Node) bool { return n.Name == e.Instance })
}

// change causes an event, and describes it.
func (h *sceneHistory) change() string {
	s := h.scene
	c := &s.Federation.Clusters[h.rng.IntN(len(s.Federation.Clusters))]
	name := c.Name
	switch h.rng.IntN(10) {
	case 0:
		for i := range 4 {
			if fresh := fmt.Sprintf("c%d", i+1); s.Cluster(fresh) == nil {
				if h.dead[fresh] {
					return "nothing"
				}
				s.Join(fresh)
				return fresh + " joins"
			}
		}
	case 1:
		if len(s.Federation.Clusters) > 1 {
			s.Federation.Clusters = slices.DeleteFunc(slices.Clone(s.Federation.Clusters), func(o federation.Cluster) bool { return o.Name == name })
			return name + " leaves"
		}
	case 2:
		c.Drain = !c.Drain
		return fmt.Sprintf("%s drain: %v", name, c.Drain)
	case 3:
		if !h.dead[name] {
			h.dead[name], s.Unhealthy[name] = true, true
			s.Change(name, func(f *federation.ClusterFacts) { f.State, f.Synced = federation.ClusterOffline, false })
			s.Probe()
			return name + " dies"
		}
	case 4:
		h.revive(name)
		return name + " lives"
	case 5, 6:
		if !h.dead[name] {
			h.nodes++
			s.AddNode(name, "r-"+name+"-"+string("ab"[h.rng.IntN(2)]), h.nodes)
			return name + " has another node"
		}
	case 7:
		if nodes := s.Facts[name].Nodes; !h.dead[name] && len(nodes) > 1 {
			i := h.rng.IntN(len(nodes))
			s.Change(name, func(f *federation.ClusterFacts) { f.Nodes = slices.Delete(f.Nodes, i, i+1) })
			return name + " loses a node"
		}
	case 8:
		port := 30080 + h.rng.IntN(20)
		s.Objects["Service/nginx"] = strings.ReplaceAll(gcptest.ServiceYAML, "nodePort: 30080", fmt.Sprintf("nodePort: %d", port))
		return fmt.Sprintf("node port %d", port)
	case 9:
		c.Weight = 100 - c.Weight%100/2
		s.Change(name, func(f *federation.ClusterFacts) {
			f.Workloads = slices.Clone(f.Workloads)
			f.Workloads[0].Ready = h.rng.Int64N(6)
		})
		return name + " weighs otherwise"
	}
	return "nothing"
}

// revive brings a cluster back.
func (h *sceneHistory) revive(name string) {
	if !h.dead[name] {
		return
	}
	delete(h.dead, name)
	delete(h.scene.Unhealthy, name)
	h.scene.Change(name, func(f *federation.ClusterFacts) { f.State, f.Synced = federation.ClusterReady, true })
	h.scene.Probe()
}
