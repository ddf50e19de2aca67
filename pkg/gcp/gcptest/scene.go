// Package gcptest provides fixtures for the tests of the load balancers: a federation that
// can be changed ([Scene]), a model of Compute Engine without its protocol ([Model]) and a
// user who changes its resources by hand ([Hand]).
package gcptest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
	"github.com/fedsync/fedsync/pkg/gcp/traffic"
)

// Scene is a federation on Compute Engine: an app with an Ingress, a Service and a
// ReplicaSet in every cluster, nodes with machines, and a model of Compute Engine. A test
// changes any of it and checks what is wanted.
type Scene struct {
	Federation *federation.Federation
	Objects    map[string]string            // YAML by "kind/name", in all clusters
	Special    map[string]map[string]string // replaces Objects, by cluster; empty text for none
	App        map[string]federation.AppPlan
	Plans      map[string]federation.ClusterPlan
	Ports      []federation.PortDecision
	Facts      map[string]federation.ClusterFacts
	Machines   map[string]gcp.Machine
	Secrets    map[string]gcp.KeyPair
	Left       map[string]time.Time
	Now        time.Time

	Cloud     *Model
	Health    map[gcp.ID]map[gcp.ID]gcp.GroupHealth
	Unhealthy map[string]bool     // clusters whose endpoints fail their probes
	Partial   func(*gcp.Observed) // removes what Observe cannot read
	read      map[string]*federation.Object
	earlier   gcp.Observed // the last result of Observe
}

var sceneStart = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// SceneNetwork is the network of all clusters of a scene.
const SceneNetwork = "projects/shop/global/networks/default"

// SceneIngress is the Ingress that a new scene has.
var SceneIngress = federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "nginx"}

// The manifests of a new scene.
const (
	IngressYAML = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: nginx, namespace: default, annotations: {kubernetes.io/ingress.class: gce}}
spec:
  defaultBackend: {service: {name: nginx, port: {number: 80}}}
`
	ServiceYAML = `
apiVersion: v1
kind: Service
metadata: {name: nginx, namespace: default}
spec:
  type: NodePort
  selector: {app: nginx}
  ports: [{name: http, port: 80, targetPort: web, nodePort: 30080, protocol: TCP}]
`
	ReplicasYAML = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: nginx, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: nginx}}
  template:
    metadata: {labels: {app: nginx}}
    spec:
      containers:
      - name: nginx
        image: nginx
        ports: [{name: web, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 7, timeoutSeconds: 2}
`
)

// NewScene returns a federation of n clusters, c1 to cn. Each has three nodes in two
// zones of a region of its own.
func NewScene(n int) *Scene {
	s := &Scene{
		Federation: &federation.Federation{
			Name: "web", Apps: []federation.App{{Name: "nginx", Path: "apps/nginx"}},
			GCP: &federation.GCP{
				Project: "shop", Network: "default", LoadBalancer: federation.LoadBalancerNodePorts,
				Firewall: federation.FirewallManaged, Addresses: federation.AddressReserve,
			},
		},
		Objects: map[string]string{"Ingress/nginx": IngressYAML, "Service/nginx": ServiceYAML, "ReplicaSet/nginx": ReplicasYAML},
		Special: map[string]map[string]string{}, App: map[string]federation.AppPlan{}, Plans: map[string]federation.ClusterPlan{},
		Facts: map[string]federation.ClusterFacts{}, Machines: map[string]gcp.Machine{}, Secrets: map[string]gcp.KeyPair{},
		Left: map[string]time.Time{}, Now: sceneStart, Cloud: NewModel(), Unhealthy: map[string]bool{},
		read: map[string]*federation.Object{},
	}
	for i := range n {
		s.Join(fmt.Sprintf("c%d", i+1))
	}
	return s
}

// Join adds a cluster.
func (s *Scene) Join(name string) {
	s.Federation.Clusters = append(s.Federation.Clusters, federation.Cluster{Name: name, Context: name, Weight: 100})
	s.Facts[name] = federation.ClusterFacts{
		State: federation.ClusterReady, Seen: true, Synced: true, NodesKnown: true, PortsKnown: true,
		Workloads: []federation.Workload{{
			Object: federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "default", Name: "nginx"}, Replicas: 3, Ready: 3, Current: 3,
		}},
	}
	for i, zone := range []string{"a", "b", "a"} {
		s.AddNode(name, "r-"+name+"-"+zone, i)
	}
}

// AddNode adds the i-th node of a cluster, with its machine.
func (s *Scene) AddNode(cluster, zone string, i int) {
	name := fmt.Sprintf("gke-%s-%d", cluster, i)
	id := "gce://shop/" + zone + "/" + name
	address := fmt.Sprintf("10.%d.0.%d", len(s.Federation.Clusters)-1, i+1)
	s.Machines[id] = gcp.Machine{
		Project: "shop", Zone: zone, Name: name, Network: SceneNetwork,
		Subnetwork: "projects/shop/regions/r-" + cluster + "/subnetworks/default",
		Address:    address, Tags: []string{"gke-" + cluster + "-node", "all"},
	}
	s.Change(cluster, func(f *federation.ClusterFacts) {
		f.Nodes = append(f.Nodes, federation.Node{Name: name, ProviderID: id, Zone: zone, Address: address, Ready: true, Since: sceneStart.Add(-time.Hour)})
	})
}

// Change edits the facts of a cluster.
func (s *Scene) Change(cluster string, edit func(*federation.ClusterFacts)) {
	f := s.Facts[cluster]
	f.Nodes = slices.Clone(f.Nodes)
	edit(&f)
	s.Facts[cluster] = f
}

// Cluster returns a cluster of the federation, which the caller may change; nil if there
// is none.
func (s *Scene) Cluster(name string) *federation.Cluster {
	for i := range s.Federation.Clusters {
		if s.Federation.Clusters[i].Name == name {
			return &s.Federation.Clusters[i]
		}
	}
	return nil
}

// Instead sets an object for one cluster; empty text removes it there.
func (s *Scene) Instead(cluster, object, text string) {
	if s.Special[cluster] == nil {
		s.Special[cluster] = map[string]string{}
	}
	s.Special[cluster][object] = text
}

// Edit replaces text in an object.
func (s *Scene) Edit(object, old, text string) {
	if !strings.Contains(s.Objects[object], old) {
		panic("no " + old + " in " + object)
	}
	s.Objects[object] = strings.Replace(s.Objects[object], old, text, 1)
}

// Annotate adds an annotation to the Ingress.
func (s *Scene) Annotate(key, value string) {
	s.Edit("Ingress/nginx", "annotations: {", fmt.Sprintf("annotations: {%s: %q, ", key, value))
}

// Input returns the input of Build for the scene.
func (s *Scene) Input() gcp.Input {
	in := gcp.Input{
		Federation: s.Federation, Source: "0123456789abcdef", Now: s.Now, Secrets: s.Secrets, Left: s.Left,
		Facts: federation.Facts{Clusters: s.Facts},
		Plan:  federation.Plan{Ports: s.Ports},
	}
	for _, c := range s.Federation.Clusters {
		plan := s.Plans[c.Name]
		plan.Cluster = c.Name
		app := s.App[c.Name]
		app.App = "nginx"
		if app.Prune == "" {
			app.Prune = federation.PruneAllowed
		}
		if plan.Excluded == "" {
			if !app.Broken {
				app.Objects = s.rendered(c.Name)
			}
			plan.Apps = []federation.AppPlan{app}
		}
		in.Plan.Clusters = append(in.Plan.Clusters, plan)
	}
	return in
}

func (s *Scene) rendered(cluster string) []*federation.Object {
	texts := maps.Clone(s.Objects)
	maps.Copy(texts, s.Special[cluster])
	var objects []*federation.Object
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		if texts[key] == "" {
			continue
		}
		objects = append(objects, s.object(key, texts[key]))
	}
	return objects
}

// object parses an object. Equal texts yield one object, as in a real plan.
func (s *Scene) object(key, text string) *federation.Object {
	if o := s.read[key+text]; o != nil {
		return o
	}
	content := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &content); err != nil {
		panic(err)
	}
	o, err := federation.NewObject(content, "apps/nginx/"+strings.ReplaceAll(key, "/", "-")+".yaml")
	if err != nil {
		panic(err)
	}
	s.read[key+text] = o
	return o
}

// Observe returns what a Keeper reads: our resources, those under names that were wanted at
// the previous Observe, and the rules at their addresses.
func (s *Scene) Observe() gcp.Observed {
	o := s.Cloud.Observe()
	named := balancer.Build(s.Input(), s.earlier).Resources
	addresses := map[string]bool{}
	maps.DeleteFunc(o.Resources, func(id gcp.ID, r gcp.Resource) bool {
		_, wanted := named[id]
		address, _ := r.Spec.(gcp.Address)
		keep := wanted || r.Mark.Federation != ""
		addresses[address.IP] = keep && address.IP != "" || addresses[address.IP]
		return !keep && id.Kind != gcp.KindRule
	})
	maps.DeleteFunc(o.Resources, func(id gcp.ID, r gcp.Resource) bool {
		rule, is := r.Spec.(gcp.Rule)
		return is && r.Mark.Federation == "" && !addresses[rule.IP]
	})
	defer func() { s.earlier = o }()
	o.At, o.Machines, o.Health = s.Now, s.Machines, s.Health
	for id, r := range o.Resources {
		if a, ok := r.Spec.(gcp.Address); ok {
			a.InUse = slices.ContainsFunc(slices.Collect(maps.Values(o.Resources)), func(r gcp.Resource) bool {
				rule, is := r.Spec.(gcp.Rule)
				return is && rule.IP == a.IP
			})
			r.Spec = a
			o.Resources[id] = r
		}
	}
	if s.Partial != nil {
		s.Partial(&o)
	}
	return o
}

// Build returns what the scene wants now.
func (s *Scene) Build() gcp.Wanted { return balancer.Build(s.Input(), s.Observe()) }

// Round builds, plans, executes and probes one time.
func (s *Scene) Round() (gcp.Wanted, gcp.Planned, error) {
	look := s.Observe()
	want := balancer.Build(s.Input(), look)
	planned := planner.Plan(want, look)
	for _, a := range planned.Actions {
		if a.Verb == gcp.Detach {
			s.Left[a.Want.Mark.Cluster] = s.Now
		}
		if err := s.Cloud.Do(a); err != nil {
			return want, planned, fmt.Errorf("%s %s: %w", a.Verb, a.ID, err)
		}
	}
	s.Probe()
	return want, planned, nil
}

// Probe sets the health of all backends.
func (s *Scene) Probe() {
	s.Health = map[gcp.ID]map[gcp.ID]gcp.GroupHealth{}
	for id, r := range s.Cloud.Resources {
		service, ok := r.Spec.(gcp.Service)
		if !ok {
			continue
		}
		s.Health[id] = map[gcp.ID]gcp.GroupHealth{}
		for _, backend := range service.Backends {
			group := s.Cloud.Resources[backend.Group]
			health := gcp.GroupHealth{At: s.Now}
			if n := len(group.Spec.(gcp.Group).Endpoints); s.Unhealthy[group.Mark.Cluster] {
				health.Unhealthy = n
			} else {
				health.Healthy = n
			}
			s.Health[id][backend.Group] = health
		}
	}
}

// Settle repeats Round until nothing is to be done, and returns what is wanted then.
func (s *Scene) Settle(t *testing.T) gcp.Wanted {
	t.Helper()
	for range 12 {
		want, planned, err := s.Round()
		if err != nil {
			t.Fatalf("execute: %v", err)
		}
		if planned.Settled {
			return want
		}
	}
	t.Fatalf("not settled after 12 rounds: %v", planner.Plan(s.Build(), s.Observe()).Actions)
	return gcp.Wanted{}
}

// Pass moves the scene's clock forward.
func (s *Scene) Pass(d time.Duration) { s.Now = s.Now.Add(d) }

// ServiceOf returns the wanted backend service of nginx.
func ServiceOf(t *testing.T, want gcp.Wanted) (gcp.ID, gcp.Service) {
	t.Helper()
	for _, b := range want.Balancers {
		if id, ok := b.Services["default/nginx:80"]; ok {
			service, _ := want.Resources[id].Spec.(gcp.Service)
			return id, service
		}
	}
	t.Fatal("no backend service for default/nginx:80")
	return gcp.ID{}, gcp.Service{}
}

// BackendsOf returns the backends of a cluster in the backend service of nginx.
func BackendsOf(t *testing.T, want gcp.Wanted, cluster string) []gcp.Backend {
	t.Helper()
	_, service := ServiceOf(t, want)
	var found []gcp.Backend
	for _, b := range service.Backends {
		if slices.Contains(want.Balancers[0].Groups[cluster], b.Group) {
			found = append(found, b)
		}
	}
	return found
}

// EndpointsOf returns the names of a cluster's endpoints in the wanted groups of nginx.
func EndpointsOf(want gcp.Wanted, cluster string) []string {
	names := []string{}
	for _, r := range want.Resources {
		if g, ok := r.Spec.(gcp.Group); ok && r.Mark.Cluster == cluster {
			for _, e := range g.Endpoints {
				names = append(names, cmpOr(e.Instance, e.Address))
			}
		}
	}
	slices.Sort(names)
	return names
}

// Findings returns the findings, one "severity id cluster: message" per line.
func Findings(want gcp.Wanted) string {
	var lines []string
	for _, f := range want.Findings {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Severity, f.ID, f.Cluster))+": "+f.Message.String())
	}
	return strings.Join(lines, "\n")
}

// KindOf returns the wanted resources of one kind, sorted.
func KindOf(want gcp.Wanted, kind gcp.Kind) []gcp.Resource {
	var found []gcp.Resource
	for id, r := range want.Resources {
		if id.Kind == kind {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(x, y gcp.Resource) int { return x.ID.Compare(y.ID) })
	return found
}

// Made returns the wanted resources that fedsync creates.
func Made(want gcp.Wanted) map[gcp.ID]gcp.Resource {
	ours := maps.Clone(want.Resources)
	maps.DeleteFunc(ours, func(_ gcp.ID, r gcp.Resource) bool { return r.Mark.Federation == "" })
	return ours
}

// State returns the state of a cluster behind the load balancer of nginx.
func (s *Scene) State(cluster string) federation.BalancerCluster {
	look := s.Observe()
	want := balancer.Build(s.Input(), look)
	for _, b := range traffic.Of(s.Input(), want, look, planner.Plan(want, look)) {
		if c, ok := b.Cluster(cluster); ok {
			return c
		}
	}
	return federation.BalancerCluster{}
}

// Tag sets the tags of the machines of c1.
func (s *Scene) Tag(tags ...[]string) {
	for i, n := range s.Facts["c1"].Nodes {
		m := s.Machines[n.ProviderID]
		m.Tags = tags[i%len(tags)]
		s.Machines[n.ProviderID] = m
	}
}

// Node edits the i-th node of c1.
func (s *Scene) Node(i int, edit func(*federation.Node)) {
	s.Change("c1", func(f *federation.ClusterFacts) { edit(&f.Nodes[i]) })
}

// RateOf returns the total rate of the groups of c1.
func RateOf(t *testing.T, want gcp.Wanted) float64 {
	t.Helper()
	sum := 0.0
	for _, b := range BackendsOf(t, want, "c1") {
		sum += b.MaxRate
	}
	return sum
}
