package balancer_test

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
	"time"

	"github.com/fedsync/fedsync/internal/raced"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

var (
	buildSeed = flag.Uint64("buildseed", 1, "seed of the first history of federations")
	buildRuns = flag.Int("builds", raced.Share(40), "how many histories of federations are played; 1000 with FEDSYNC_TEST_LONG=1")
)

// TestBuildNeverTakesTheSiteDown plays random histories of federations: clusters join,
// drain, die, return and leave, nodes come and go, Git changes, reads fail in part. Each
// wanted state is planned and executed on a model, and the invariants are checked after
// each action.
//
// To play only a seed that failed:
//
//	go test ./pkg/gcp/balancer -run TestBuildNeverTakesTheSiteDown -buildseed=N -builds=1
func TestBuildNeverTakesTheSiteDown(t *testing.T) {
	runs := *buildRuns
	if os.Getenv("FEDSYNC_TEST_LONG") != "" {
		runs = max(runs, 1000)
	}
	actions := 0
	for i := range runs {
		seed := *buildSeed + uint64(i)                                                       //nolint:gosec // a count
		h := &buildHistory{Scene: gcptest.NewScene(3), rng: rand.New(rand.NewPCG(seed, 88))} //nolint:gosec // a test that can be repeated
		if err := h.play(30); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(h.log, "\n"))
		}
		actions += h.actions
	}
	t.Logf("%d histories from seed %d, %d actions", runs, *buildSeed, actions)
}

type buildHistory struct {
	*gcptest.Scene
	rng     *rand.Rand
	log     []string
	nodes   int // made so far
	joined  int
	actions int
}

func (h *buildHistory) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *buildHistory) play(steps int) error {
	for range steps {
		h.step()
		if h.Health = nil; h.rng.IntN(8) > 0 { // else it has just been started
			h.probe()
		}
		if err := h.turn(); err != nil {
			return err
		}
	}
	return h.rest()
}

// rest ends all disturbances. The history must then settle, with nothing left over.
func (h *buildHistory) rest() error {
	h.note("nothing hinders any more")
	h.Partial = nil
	clear(h.Unhealthy)
	clear(h.Plans)
	clear(h.App)
	for _, c := range h.Federation.Clusters {
		h.Change(c.Name, func(f *federation.ClusterFacts) {
			f.State, f.Outage, f.Synced, f.NodesKnown = federation.ClusterReady, false, true, true
		})
	}
	// Rates change by a tenth per minute, and so does the number of endpoints.
	quiet := 0
	for range 200 {
		h.probe()
		_, planned, err := h.Round()
		if err != nil {
			return err
		}
		h.Pass(time.Minute)
		if quiet++; !planned.Settled {
			quiet = 0
		}
		if quiet == 3 {
			return h.leftOvers()
		}
	}
	return fmt.Errorf("it does not come to rest: %v", planner.Plan(h.Build(), h.Observe()).Actions)
}

func (h *buildHistory) leftOvers() error {
	want := h.Build()
	for id, r := range h.Cloud.Resources {
		_, wanted := want.Resources[id]
		_, held := want.Held[id]
		if !wanted && !held {
			return fmt.Errorf("%s of %s is left over: %+v", id, r.Mark.Cluster, r)
		}
	}
	return nil
}

// turn builds a wanted state, checks it and executes it.
func (h *buildHistory) turn() error {
	full := h.Observe()
	look := gcptest.CloneObserved(full)
	if h.rng.IntN(5) == 0 {
		h.note("a look fails in part")
		look = gcptest.Partial(look, h.rng)
	}
	in := h.Input()
	want := balancer.Build(in, look)
	if again := balancer.Build(in, look); !reflect.DeepEqual(want, again) {
		return fmt.Errorf("equal input, different output")
	}
	if err := h.check(want, look); err != nil {
		return err
	}
	planned := planner.Plan(want, look)
	if err := h.noMore(planned, planner.Plan(balancer.Build(in, full), full)); err != nil {
		return err
	}
	for _, a := range planned.Actions {
		if h.rng.IntN(30) == 0 {
			h.note("execution stops before %s %s", a.Verb, a.ID)
			break
		}
		if a.Verb == gcp.Detach {
			h.Left[a.Want.Mark.Cluster] = h.Now
		}
		served := h.serving()
		h.note("  %s %s %v", a.Verb, a.ID, a.Fields)
		if err := h.Cloud.Do(a); err != nil {
			return fmt.Errorf("%s %s: %w", a.Verb, a.ID, err)
		}
		h.actions++
		if err := h.stillServes(served); err != nil {
			return fmt.Errorf("after %s %s: %w", a.Verb, a.ID, err)
		}
	}
	return nil
}

// check tests the invariants of a wanted state.
func (h *buildHistory) check(want gcp.Wanted, look gcp.Observed) error {
	for id, r := range want.Resources {
		if r.ID != id || r.Spec == nil {
			return fmt.Errorf("%s is under %s", r.ID, id)
		}
		if !gcp.ValidName.MatchString(id.Name) {
			return fmt.Errorf("%s has no valid name", id)
		}
		for _, ref := range r.References() {
			_, wanted := want.Resources[ref]
			_, there := look.Resources[ref]
			_, held := want.Held[ref]
			if !wanted && !there && !held {
				return fmt.Errorf("%s refers to %s, which is neither wanted nor there", id, ref)
			}
		}
		switch spec := r.Spec.(type) {
		case gcp.Firewall:
			if len(spec.Tags) == 0 || len(spec.Ports) == 0 {
				return fmt.Errorf("%s has tags %v and ports %v", id, spec.Tags, spec.Ports)
			}
		case gcp.Service:
			if len(spec.Backends) > balancer.MaxGroups {
				return fmt.Errorf("%s has %d backends", id, len(spec.Backends))
			}
			if len(spec.Backends) > 0 && !slices.ContainsFunc(spec.Backends, func(b gcp.Backend) bool { return b.Capacity > 0 }) {
				return fmt.Errorf("%s has no capacity", id)
			}
		case gcp.Group:
			if len(spec.Endpoints) == 0 {
				return fmt.Errorf("%s has no endpoints", id)
			}
		}
	}
	return nil
}

// noMore checks that a partly failed read leads to no removal that a complete read does
// not.
func (h *buildHistory) noMore(partly, whole gcp.Planned) error {
	removes := map[gcp.ID]bool{}
	for _, a := range whole.Actions {
		if a.Verb == gcp.Delete {
			removes[a.ID] = true
		}
	}
	for _, a := range partly.Actions {
		if a.Verb == gcp.Delete && !removes[a.ID] {
			return fmt.Errorf("deletes %s only because a read failed", a.ID)
		}
	}
	return nil
}

// serving returns the clusters that answer for each Ingress of the plan, by Service.
func (h *buildHistory) serving() map[gcp.ID][]string {
	served := map[gcp.ID][]string{}
	for id, r := range h.Cloud.Resources {
		service, ok := r.Spec.(gcp.Service)
		if !ok || len(h.Cloud.Users(id)) == 0 {
			continue
		}
		for _, backend := range service.Backends {
			group := h.Cloud.Resources[backend.Group]
			cluster := group.Mark.Cluster
			if backend.Capacity > 0 && !h.Unhealthy[cluster] && slices.ContainsFunc(group.Spec.(gcp.Group).Endpoints, h.alive) {
				served[id] = append(served[id], cluster)
			}
		}
	}
	return served
}

// probe probes only nodes that exist.
func (h *buildHistory) probe() {
	h.Probe()
	for _, groups := range h.Health {
		for id, health := range groups {
			for _, e := range h.Cloud.Resources[id].Spec.(gcp.Group).Endpoints {
				if health.Healthy > 0 && !h.alive(e) {
					health.Healthy--
					health.Unhealthy++
				}
			}
			groups[id] = health
		}
	}
}

// alive reports whether an endpoint's node exists and is Ready.
func (h *buildHistory) alive(e gcp.Endpoint) bool {
	for _, f := range h.Facts {
		if slices.ContainsFunc(f.Nodes, func(n federation.Node) bool { return n.Name == e.Instance && n.Ready && !n.Excluded }) {
			return true
		}
	}
	return false
}

// stillServes checks that whatever was served is still served, unless its Ingress is gone.
func (h *buildHistory) stillServes(served map[gcp.ID][]string) error {
	now := h.serving()
	for id, clusters := range served {
		if len(h.Cloud.Users(id)) > 0 && len(now[id]) == 0 {
			return fmt.Errorf("no cluster serves %s, which %v served", id, clusters)
		}
	}
	if len(served) > 0 && len(now) == 0 && h.placed() {
		return fmt.Errorf("no cluster serves anything, and %v did", served)
	}
	return nil
}

// placed reports whether some cluster should have the first Ingress.
func (h *buildHistory) placed() bool {
	return h.Objects["Ingress/nginx"] != "" && slices.ContainsFunc(h.Federation.Clusters, func(c federation.Cluster) bool {
		_, away := h.Special[c.Name]["Ingress/nginx"]
		return !away
	})
}

// step makes one random change.
func (h *buildHistory) step() {
	h.Pass(time.Duration(h.rng.IntN(120)) * time.Second)
	names := make([]string, 0, len(h.Federation.Clusters))
	for _, c := range h.Federation.Clusters {
		names = append(names, c.Name)
	}
	name := names[h.rng.IntN(len(names))]
	c := h.Cluster(name)
	toggle := func(m map[string]bool, key string) { m[key] = !m[key] }
	steps := []struct {
		what string
		do   func()
	}{
		{"drain of " + name, func() { c.Drain = !c.Drain }},
		{"lost: " + name, func() { c.Lost = !c.Lost }},
		{"weight of " + name, func() { c.Weight = 1 + h.rng.IntN(100) }},
		{"health of " + name, func() { toggle(h.Unhealthy, name) }},
		{"outage of " + name, func() { h.Change(name, func(f *federation.ClusterFacts) { f.Outage = !f.Outage }) }},
		{"sight of " + name, func() { h.Change(name, func(f *federation.ClusterFacts) { f.NodesKnown = !f.NodesKnown }) }},
		{"a node joins " + name, func() { h.nodes++; h.AddNode(name, "r-"+name+"-"+string(rune('a'+h.rng.IntN(3))), 10+h.nodes) }},
		{"a node leaves " + name, func() {
			h.Change(name, func(f *federation.ClusterFacts) {
				if len(f.Nodes) > 1 {
					i := h.rng.IntN(len(f.Nodes))
					f.Nodes = slices.Delete(f.Nodes, i, i+1)
				}
			})
		}},
		{"a node of " + name + " is excluded, or not any more", func() {
			h.Change(name, func(f *federation.ClusterFacts) {
				n := &f.Nodes[h.rng.IntN(len(f.Nodes))]
				n.Excluded = !n.Excluded
			})
		}},
		{"a node of " + name + " is Ready, or not any more", func() {
			h.Change(name, func(f *federation.ClusterFacts) {
				n := &f.Nodes[h.rng.IntN(len(f.Nodes))]
				n.Ready, n.Since = !n.Ready, h.Now
			})
		}},
		{"a cluster joins", func() {
			if len(names) < 6 {
				h.joined++
				h.Join(fmt.Sprintf("d%d", h.joined))
			}
		}},
		{name + " leaves the federation", func() {
			if len(names) > 1 {
				h.Federation.Clusters = slices.DeleteFunc(h.Federation.Clusters, func(c federation.Cluster) bool { return c.Name == name })
			}
		}},
		{"placement in " + name, func() {
			if _, away := h.Special[name]["Ingress/nginx"]; away {
				delete(h.Special[name], "Ingress/nginx")
			} else {
				h.Instead(name, "Ingress/nginx", "")
			}
		}},
		{"the app is broken in " + name, func() { h.App[name] = federation.AppPlan{Broken: !h.App[name].Broken} }},
		{"the plan excludes " + name, func() {
			if h.Plans[name].Excluded == "" {
				h.Plans[name] = federation.ClusterPlan{Excluded: "why"}
			} else {
				delete(h.Plans, name)
			}
		}},
		{"the node port moves", func() {
			h.Objects["Service/nginx"] = strings.Replace(gcptest.ServiceYAML, "30080", fmt.Sprint(30080+h.rng.IntN(3)), 1)
		}},
		{"an Ingress comes or goes", h.toggleIngress},
		{"an annotation refuses the Ingress, or no longer does", func() {
			const mark = `networking.gke.io/managed-certificates: "x", `
			if text := h.Objects["Ingress/nginx"]; strings.Contains(text, mark) {
				h.Objects["Ingress/nginx"] = strings.Replace(text, mark, "", 1)
			} else if text != "" {
				h.Objects["Ingress/nginx"] = strings.Replace(text, "annotations: {", "annotations: {"+mark, 1)
			}
		}},
		{"the machines of " + name + " cannot be read, or can again", func() { h.toggleMachine(name) }},
		{"replicas of " + name, func() {
			h.Change(name, func(f *federation.ClusterFacts) {
				f.Workloads = slices.Clone(f.Workloads)
				f.Workloads[0].Ready = int64(h.rng.IntN(9))
			})
		}},
	}
	s := steps[h.rng.IntN(len(steps))]
	h.note("%s", s.what)
	s.do()
}

func (h *buildHistory) toggleIngress() {
	name := []string{"nginx", "second"}[h.rng.IntN(2)]
	if _, there := h.Objects["Ingress/"+name]; there {
		delete(h.Objects, "Ingress/"+name)
		return
	}
	h.Objects["Ingress/"+name] = strings.Replace(gcptest.IngressYAML, "name: nginx,", "name: "+name+",", 1)
}

func (h *buildHistory) toggleMachine(cluster string) {
	f := h.Facts[cluster]
	id := f.Nodes[h.rng.IntN(len(f.Nodes))].ProviderID
	h.Machines = maps.Clone(h.Machines)
	if m := h.Machines[id]; m.Name != "" {
		h.Machines["away "+id] = m
		delete(h.Machines, id)
	} else {
		h.Machines[id] = h.Machines["away "+id]
	}
}
