package growth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule"
)

// scheduleRows are what a plan may have many of.
var scheduleRows = []dimension{
	{"objects", 2_000, planOf(world{}, func(i int) map[string]any { return configMap(i, "") })},
	{"Services", 500, planOf(world{}, func(i int) map[string]any { return service(i, 2, 0) })},
	{"Services with a port pinned for all", 500, planOf(world{}, func(i int) map[string]any { return service(i, 2, 30000) })},
	{"Services with ports of their own", 500, planOf(world{}, func(i int) map[string]any { return service(i, 1, 30000+i) })},
	{"Services of any port", 1_500, planOf(world{ports: federation.PortRange{First: 1, Last: 3000}}, func(i int) map[string]any { return service(i, 5, 0) })},
	{"Services while a cluster is unknown", 1_000, planOf(world{unknown: true, used: 2000}, func(i int) map[string]any { return service(i, 2, 0) })},
	{"ports of a Service", 250, func(t testing.TB, n int) func() {
		return world{}.plan(t, service(0, n, 0))
	}},
	{"ports of a Service, pinned", 250, func(t testing.TB, n int) func() {
		return world{}.plan(t, service(0, n, 30000))
	}},
	{"ports too many", 10_000, func(t testing.TB, n int) func() {
		return world{}.plan(t, service(0, n, 0))
	}},
	{"ports of all Services", 5_000, func(t testing.TB, n int) func() {
		return world{}.plan(t, all(n/50, func(i int) map[string]any { return service(i, 50, 0) })...)
	}},
	{"requirements of an annotation", 2_000, func(t testing.TB, n int) func() {
		return world{}.plan(t, configMap(0, "["+strings.Repeat(requirement+",", n-1)+requirement+"]"))
	}},
	{"selectors", 500, planOf(world{}, func(i int) map[string]any {
		return configMap(i, fmt.Sprintf(`[{"key": "n", "operator": "in", "values": ["%d"]}]`, i))
	})},
	{"selectors that are wrong", 1_000, planOf(world{}, func(i int) map[string]any { return configMap(i, fmt.Sprintf("[%d", i)) })},
	{"workloads", 500, planOf(world{}, func(i int) map[string]any { return deployment(i, "") })},
	{"preferences", 1_000, func(t testing.TB, n int) func() {
		return world{}.plan(t, deployment(0, preferences(n)))
	}},
	{"preferences that are wrong", 1_000, planOf(world{}, func(i int) map[string]any { return deployment(i, "{") })},
	{"renderings that differ", 50, func(t testing.TB, n int) func() {
		return world{clusters: n, overlays: true}.plan(t, deployment(0, ""))
	}},
	{"objects that no policy allows", 2_000, planOf(world{policy: schedule.Policy{Kinds: []string{"Pod"}}}, func(i int) map[string]any { return configMap(i, "") })},
	{"objects that left", 2_000, func(t testing.TB, n int) func() {
		return world{inventory: n}.plan(t, configMap(0, ""))
	}},
	{"Ingresses", 250, planOf(world{balancers: true}, ingress)},
	{"clusters of a plan", 200, func(t testing.TB, n int) func() {
		return world{clusters: n}.plan(t, configMap(0, ""), service(0, 2, 0), deployment(0, ""))
	}},
	{"clusters that drain", 100, func(t testing.TB, n int) func() {
		return world{clusters: n, drain: true, balancers: true}.plan(t, deployment(0, ""), ingress(0))
	}},
	{"clusters that went away", 100, func(t testing.TB, n int) func() {
		return world{clusters: n, away: true}.plan(t, deployment(0, ""))
	}},
	{"apps of a plan", 250, func(t testing.TB, n int) func() {
		return world{apps: n}.plan(t, configMap(0, ""))
	}},
}

const requirement = `{"key": "a", "operator": "notin", "values": ["b"]}`

// preferences returns preferences for n clusters, each with a different
// maximum.
func preferences(n int) string {
	return `{"clusters": {` + text("", n, func(i int) string {
		return fmt.Sprintf(`"c%d": {"weight": 1, "maxReplicas": %d}, `, i, i+1)
	}, `"*": {"weight": 1}}}`)
}

func all(n int, object func(i int) map[string]any) []map[string]any {
	objects := make([]map[string]any, n)
	for i := range objects {
		objects[i] = object(i)
	}
	return objects
}

func planOf(w world, object func(i int) map[string]any) func(testing.TB, int) func() {
	return func(t testing.TB, n int) func() { return w.plan(t, all(n, object)...) }
}

// world describes the input of a plan.
type world struct {
	clusters, apps int // 3 and 1 if zero
	ports          federation.PortRange
	policy         schedule.Policy
	overlays       bool // each cluster has different objects
	unknown        bool // the last cluster has not been seen
	away, drain    bool // applies to all clusters
	balancers      bool // a load balancer for each Ingress
	used           int  // node ports of each cluster
	inventory      int  // number of applied objects
}

// plan returns the work of a first plan and the next one.
func (w world) plan(t testing.TB, contents ...map[string]any) func() {
	in := w.input(t, contents)
	return func() {
		s := schedule.New()
		s.Plan(in)
		s.Plan(in)
	}
}

func (w world) input(t testing.TB, contents []map[string]any) schedule.Input {
	f := &federation.Federation{Name: "web", NodePorts: w.ports}
	in := schedule.Input{Federation: f, Policy: w.policy, Facts: federation.Facts{Clusters: map[string]federation.ClusterFacts{}, BalancersKnown: w.balancers}}
	if w.balancers {
		f.GCP = &federation.GCP{LoadBalancer: federation.LoadBalancerNodePorts}
	}
	for i := range max(1, w.apps) {
		f.Apps = append(f.Apps, federation.App{Name: fmt.Sprint("app", i), Path: fmt.Sprint("apps/", i), Prune: true})
	}
	objects := objectsOf(t, contents)
	for i := range max(3, w.clusters) {
		c := federation.Cluster{Name: fmt.Sprint("c", i), Labels: map[string]string{"n": fmt.Sprint(i)}, Drain: w.drain}
		f.Clusters = append(f.Clusters, c)
		in.Facts.Clusters[c.Name] = w.facts(i)
		if w.overlays {
			contents[0]["spec"].(map[string]any)["replicas"] = int64(i)
			objects = objectsOf(t, contents)
		}
		for _, app := range f.Apps {
			in.Bundles = append(in.Bundles, federation.Bundle{Cluster: c.Name, App: app.Name, Objects: objects})
		}
	}
	if w.balancers {
		in.Facts.Balancers = balancers(f, objects)
	}
	return in
}

func (w world) facts(cluster int) federation.ClusterFacts {
	facts := federation.ClusterFacts{State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true}
	switch {
	case w.unknown && cluster == 2:
		return federation.ClusterFacts{State: federation.ClusterPending}
	case w.away:
		facts.State, facts.Synced, facts.Outage = federation.ClusterOffline, false, true
	}
	for i := range w.used {
		facts.NodePorts = append(facts.NodePorts, federation.NodePort{Protocol: "TCP", Port: int32(30000 + i), Namespace: "x", Service: fmt.Sprint("s", i)})
	}
	if w.inventory > 0 {
		facts.Inventory = map[string][]federation.ObjectRef{}
		for i := range w.inventory {
			facts.Inventory["app0"] = append(facts.Inventory["app0"], federation.ObjectRef{Kind: "ConfigMap", Namespace: "default", Name: fmt.Sprintf("old%06d", i)})
		}
	}
	return facts
}

func balancers(f *federation.Federation, objects []*federation.Object) []federation.Balancer {
	var all []federation.Balancer
	for _, o := range objects {
		if o.Ref.Kind != "Ingress" {
			continue
		}
		b := federation.Balancer{Ingress: o.Ref}
		for _, c := range f.Clusters {
			b.Clusters = append(b.Clusters, federation.BalancerCluster{Cluster: c.Name, State: federation.TrafficServing})
		}
		all = append(all, b)
	}
	return all
}

func objectsOf(t testing.TB, contents []map[string]any) []*federation.Object {
	objects := make([]*federation.Object, len(contents))
	for i, content := range contents {
		o, err := federation.NewObject(content, "apps/a/file.yaml")
		if err != nil {
			t.Fatal(err)
		}
		objects[i] = o
	}
	return objects
}

func object(apiVersion, kind string, i int, annotations map[string]any) map[string]any {
	return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{
		"name": fmt.Sprintf("o%06d", i), "namespace": "default", "annotations": annotations,
	}}
}

func configMap(i int, selector string) map[string]any {
	annotations := map[string]any{}
	if selector != "" {
		annotations["federation.alpha.kubernetes.io/cluster-selector"] = selector
	}
	return object("v1", "ConfigMap", i, annotations)
}

func service(i, ports, pin int) map[string]any {
	list := make([]any, ports)
	for at := range list {
		entry := map[string]any{"name": fmt.Sprint("p", at), "port": int64(at + 1)}
		if pin != 0 {
			entry["nodePort"] = int64(pin)
		}
		list[at] = entry
	}
	o := object("v1", "Service", i, nil)
	o["spec"] = map[string]any{"type": "NodePort", "ports": list}
	return o
}

func deployment(i int, preferences string) map[string]any {
	annotations := map[string]any{}
	if preferences != "" {
		annotations["federation.kubernetes.io/deployment-preferences"] = preferences
	}
	o := object("apps/v1", "Deployment", i, annotations)
	o["spec"] = map[string]any{"replicas": int64(7)}
	return o
}

func ingress(i int) map[string]any {
	o := object("networking.k8s.io/v1", "Ingress", i, nil)
	o["spec"] = map[string]any{}
	return o
}
