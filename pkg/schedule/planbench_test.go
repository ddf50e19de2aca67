package schedule

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// The federation of the benchmarks: each cluster lists 200 node ports and 100
// workloads, and no two clusters share a string of their facts, as they come from
// watches.
const (
	benchClusters  = 1000
	benchServices  = 100
	benchWorkloads = 100
	benchUsed      = 200
)

// benchCase is one state of the federation.
type benchCase struct {
	name     string
	overlays bool // each cluster has objects of its own
	runs     bool // everything runs already
	away     int  // clusters that are Offline
	basis    federation.PortBasis
}

func benchCases() []benchCase {
	return []benchCase{
		{name: "base/new", basis: federation.PortChosen},
		{name: "base/live", runs: true, basis: federation.PortInherited},
		{name: "overlays/new", overlays: true, basis: federation.PortChosen},
		{name: "overlays/live", overlays: true, runs: true, basis: federation.PortInherited},
		{name: "overlays/outage", overlays: true, runs: true, away: 100, basis: federation.PortInherited},
	}
}

// BenchmarkDecisions decides placement, node ports and replicas, with all reasons,
// and writes nothing into objects. The objects have been read before, as in every
// plan but the first of a revision.
func BenchmarkDecisions(b *testing.B) {
	for _, c := range benchCases() {
		b.Run(c.name, func(b *testing.B) {
			in, s := benchInput(b, c), New()
			s.Plan(in)
			b.ReportAllocs()
			for b.Loop() {
				p := s.decisions(in)
				s.forget(p)
				benchCheck(b, c, p.ports.Decisions, p.replicas)
			}
		})
	}
}

// BenchmarkFirstDecisions is the same with objects that nobody has read before.
func BenchmarkFirstDecisions(b *testing.B) {
	for _, c := range benchCases() {
		b.Run(c.name, func(b *testing.B) {
			in := benchInput(b, c)
			b.ReportAllocs()
			for b.Loop() {
				p := New().decisions(in)
				benchCheck(b, c, p.ports.Decisions, p.replicas)
			}
		})
	}
}

// BenchmarkPlan makes a whole plan when there was one before.
func BenchmarkPlan(b *testing.B) {
	for _, c := range benchCases() {
		b.Run(c.name, func(b *testing.B) {
			in, s := benchInput(b, c), New()
			s.Plan(in)
			b.ReportAllocs()
			for b.Loop() {
				plan := s.Plan(in)
				benchCheck(b, c, plan.Ports, plan.Replicas)
			}
		})
	}
}

func benchCheck(b *testing.B, c benchCase, ports []federation.PortDecision, replicas []federation.ReplicasDecision) {
	b.Helper()
	if len(ports) != benchServices || ports[0].Basis != c.basis || len(replicas) != benchWorkloads || len(replicas[0].Shares) != benchClusters {
		b.Fatalf("%d node ports, the first %q, and %d workloads; want %d, %q and %d",
			len(ports), ports[0].Basis, len(replicas), benchServices, c.basis, benchWorkloads)
	}
}

func benchInput(b *testing.B, bc benchCase) Input {
	b.Helper()
	in := Input{
		Federation: &federation.Federation{
			NodePorts: federation.PortRange{First: 30000, Last: 32767},
			Apps:      []federation.App{{Name: "shop", Prune: true, PruneLimit: federation.PruneLimit{Percent: 10}}},
		},
		Facts: federation.Facts{Clusters: map[string]federation.ClusterFacts{}},
	}
	shared := benchObjects(b, "base")
	for i := range benchClusters {
		name := fmt.Sprintf("cluster-%04d", i)
		in.Federation.Clusters = append(in.Federation.Clusters, federation.Cluster{
			Name: name, Labels: map[string]string{"location": fmt.Sprintf("zone-%d", i%10)},
		})
		objects := shared
		if bc.overlays {
			objects = benchObjects(b, name)
		}
		in.Bundles = append(in.Bundles, federation.Bundle{Cluster: name, App: "shop", Objects: objects})
		in.Facts.Clusters[name] = benchFacts(bc, i, objects)
	}
	return in
}

func benchFacts(bc benchCase, cluster int, objects []*federation.Object) federation.ClusterFacts {
	facts := federation.ClusterFacts{
		State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true,
		Inventory: map[string][]federation.ObjectRef{},
	}
	if cluster < bc.away {
		facts.State, facts.Synced = federation.ClusterOffline, false
	}
	if bc.runs {
		for i, o := range objects {
			ref := benchRef(o.Ref)
			facts.Inventory["shop"] = append(facts.Inventory["shop"], ref)
			if o.Ref.Kind == "Service" {
				facts.NodePorts = append(facts.NodePorts, held(int32(30000+i), ref.Namespace, ref.Name))
				continue
			}
			facts.Workloads = append(facts.Workloads, federation.Workload{Object: ref, Replicas: 2, Ready: 2, Current: 2})
		}
		slices.SortFunc(facts.Inventory["shop"], federation.ObjectRef.Compare)
	}
	for i := 0; len(facts.Workloads) < benchWorkloads; i++ {
		facts.Workloads = append(facts.Workloads, federation.Workload{
			Object: federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "other", Name: fmt.Sprintf("other-%03d", i)},
		})
	}
	for i := 0; len(facts.NodePorts) < benchUsed; i++ {
		facts.NodePorts = append(facts.NodePorts, held(int32(31300+(cluster+i*7)%1400), "legacy", fmt.Sprintf("foreign-%03d", i)))
	}
	slices.SortFunc(facts.NodePorts, federation.NodePort.Compare)
	slices.SortFunc(facts.Workloads, func(a, b federation.Workload) int { return a.Object.Compare(b.Object) })
	return facts
}

// benchRef is a reference as a watch brings it: strings of its own.
func benchRef(r federation.ObjectRef) federation.ObjectRef {
	return federation.ObjectRef{
		Group: strings.Clone(r.Group), Kind: strings.Clone(r.Kind),
		Namespace: strings.Clone(r.Namespace), Name: strings.Clone(r.Name),
	}
}

// benchObjects are the app's objects as one rendering gives them.
func benchObjects(b *testing.B, place string) []*federation.Object {
	b.Helper()
	var all []*federation.Object
	add := func(apiVersion, kind, name string, spec map[string]any) {
		o, err := federation.NewObject(map[string]any{
			"apiVersion": apiVersion, "kind": kind,
			"metadata": map[string]any{
				"name": name, "namespace": "shop",
				"labels":      map[string]any{"app": name, "part-of": "shop"},
				"annotations": map[string]any{"example.com/place": place},
			},
			"spec": spec,
		}, "apps/shop/base/all.yaml")
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, o)
	}
	for i := range benchServices {
		name := fmt.Sprintf("web-%03d", i)
		add("v1", "Service", name, map[string]any{
			"type": "NodePort", "selector": map[string]any{"app": name},
			"ports": []any{map[string]any{"name": "http", "port": 80, "targetPort": 8080}},
		})
	}
	for i := range benchWorkloads {
		name := fmt.Sprintf("web-%03d", i)
		add("apps/v1", "ReplicaSet", name, map[string]any{
			"replicas": 2 * benchClusters,
			"selector": map[string]any{"matchLabels": map[string]any{"app": name}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": name}},
				"spec": map[string]any{"containers": []any{map[string]any{
					"name": "web", "image": "registry.example/shop/web:1.42.0",
					"ports":     []any{map[string]any{"containerPort": 8080}},
					"resources": map[string]any{"requests": map[string]any{"cpu": "100m", "memory": "64Mi"}},
				}}},
			},
		})
	}
	return all
}

// held is a node port that a Service holds.
func held(port int32, namespace, service string) federation.NodePort {
	return federation.NodePort{Protocol: "TCP", Port: port, ServicePort: 80, Namespace: namespace, Service: service}
}
