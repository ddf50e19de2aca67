package gcp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
)

// scene is a federation on Compute Engine: an app with an Ingress, a Service and a
// ReplicaSet in every cluster, nodes with machines, and a model of what there is. A
// test changes what it likes and asks what is wanted.
type scene struct {
	federation *federation.Federation
	objects    map[string]string            // YAML by "kind/name", in all clusters
	special    map[string]map[string]string // by cluster: instead; empty for none
	app        map[string]federation.AppPlan
	plans      map[string]federation.ClusterPlan
	ports      []federation.PortDecision
	facts      map[string]federation.ClusterFacts
	machines   map[string]Machine
	secrets    map[string]KeyPair
	left       map[string]time.Time
	now        time.Time

	cloud     *model
	health    map[ID]map[ID]GroupHealth
	unhealthy map[string]bool // clusters whose endpoints fail their probes
	partial   func(*Observed) // what a look lacks
	read      map[string]*federation.Object
	earlier   Observed // by the last look
}

var sceneStart = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const sceneNetwork = "projects/shop/global/networks/default"

var sceneIngress = federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "nginx"}

const (
	ingressYAML = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: nginx, namespace: default, annotations: {kubernetes.io/ingress.class: gce}}
spec:
  defaultBackend: {service: {name: nginx, port: {number: 80}}}
`
	serviceYAML = `
apiVersion: v1
kind: Service
metadata: {name: nginx, namespace: default}
spec:
  type: NodePort
  selector: {app: nginx}
  ports: [{name: http, port: 80, targetPort: web, nodePort: 30080, protocol: TCP}]
`
	replicasYAML = `
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

// newScene makes a federation of n clusters, c1 to cn, with three nodes each in two
// zones of a region of its own.
func newScene(n int) *scene {
	s := &scene{
		federation: &federation.Federation{
			Name: "web", Apps: []federation.App{{Name: "nginx", Path: "apps/nginx"}},
			GCP: &federation.GCP{
				Project: "shop", Network: "default", LoadBalancer: federation.LoadBalancerNodePorts,
				Firewall: federation.FirewallManaged, Addresses: federation.AddressReserve,
			},
		},
		objects: map[string]string{"Ingress/nginx": ingressYAML, "Service/nginx": serviceYAML, "ReplicaSet/nginx": replicasYAML},
		special: map[string]map[string]string{}, app: map[string]federation.AppPlan{}, plans: map[string]federation.ClusterPlan{},
		facts: map[string]federation.ClusterFacts{}, machines: map[string]Machine{}, secrets: map[string]KeyPair{},
		left: map[string]time.Time{}, now: sceneStart, cloud: newModel(), unhealthy: map[string]bool{},
		read: map[string]*federation.Object{},
	}
	for i := range n {
		s.join(fmt.Sprintf("c%d", i+1))
	}
	return s
}

// join adds a cluster.
func (s *scene) join(name string) {
	s.federation.Clusters = append(s.federation.Clusters, federation.Cluster{Name: name, Context: name, Weight: 100})
	s.facts[name] = federation.ClusterFacts{
		State: federation.ClusterReady, Seen: true, Synced: true, NodesKnown: true, PortsKnown: true,
		Workloads: []federation.Workload{{
			Object: federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "default", Name: "nginx"}, Replicas: 3, Ready: 3, Current: 3,
		}},
	}
	for i, zone := range []string{"a", "b", "a"} {
		s.addNode(name, "r-"+name+"-"+zone, i)
	}
}

// addNode adds the i-th node of a cluster, with its machine.
func (s *scene) addNode(cluster, zone string, i int) {
	name := fmt.Sprintf("gke-%s-%d", cluster, i)
	id := "gce://shop/" + zone + "/" + name
	address := fmt.Sprintf("10.%d.0.%d", len(s.federation.Clusters)-1, i+1)
	s.machines[id] = Machine{
		Project: "shop", Zone: zone, Name: name, Network: sceneNetwork,
		Subnetwork: "projects/shop/regions/r-" + cluster + "/subnetworks/default",
		Address:    address, Tags: []string{"gke-" + cluster + "-node", "all"},
	}
	s.change(cluster, func(f *federation.ClusterFacts) {
		f.Nodes = append(f.Nodes, federation.Node{Name: name, ProviderID: id, Zone: zone, Address: address, Ready: true, Since: sceneStart.Add(-time.Hour)})
	})
}

// change edits the facts of a cluster.
func (s *scene) change(cluster string, edit func(*federation.ClusterFacts)) {
	f := s.facts[cluster]
	f.Nodes = slices.Clone(f.Nodes)
	edit(&f)
	s.facts[cluster] = f
}

func (s *scene) cluster(name string) *federation.Cluster {
	for i := range s.federation.Clusters {
		if s.federation.Clusters[i].Name == name {
			return &s.federation.Clusters[i]
		}
	}
	return nil
}

// instead gives a cluster an object of its own; empty text for none.
func (s *scene) instead(cluster, object, text string) {
	if s.special[cluster] == nil {
		s.special[cluster] = map[string]string{}
	}
	s.special[cluster][object] = text
}

// edit replaces text in an object.
func (s *scene) edit(object, old, text string) {
	if !strings.Contains(s.objects[object], old) {
		panic("no " + old + " in " + object)
	}
	s.objects[object] = strings.Replace(s.objects[object], old, text, 1)
}

// annotate adds an annotation to the Ingress.
func (s *scene) annotate(key, value string) {
	s.edit("Ingress/nginx", "annotations: {", fmt.Sprintf("annotations: {%s: %q, ", key, value))
}

func (s *scene) input() Input {
	in := Input{
		Federation: s.federation, Source: "0123456789abcdef", Now: s.now, Secrets: s.secrets, Left: s.left,
		Facts: federation.Facts{Clusters: s.facts},
		Plan:  federation.Plan{Ports: s.ports},
	}
	for _, c := range s.federation.Clusters {
		plan := s.plans[c.Name]
		plan.Cluster = c.Name
		app := s.app[c.Name]
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

func (s *scene) rendered(cluster string) []*federation.Object {
	texts := maps.Clone(s.objects)
	maps.Copy(texts, s.special[cluster])
	var objects []*federation.Object
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		if texts[key] == "" {
			continue
		}
		objects = append(objects, s.object(key, texts[key]))
	}
	return objects
}

// object reads an object; equal texts are one object, as in a real plan.
func (s *scene) object(key, text string) *federation.Object {
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

// look reads what a Keeper reads: what is ours, what has a name that was wanted by the
// look before, and the rules at those addresses.
func (s *scene) look() Observed {
	o := s.cloud.look()
	named := Build(s.input(), s.earlier).Resources
	addresses := map[string]bool{}
	maps.DeleteFunc(o.Resources, func(id ID, r Resource) bool {
		_, wanted := named[id]
		address, _ := r.Spec.(Address)
		keep := wanted || r.Mark.Federation != ""
		addresses[address.IP] = keep && address.IP != "" || addresses[address.IP]
		return !keep && id.Kind != KindRule
	})
	maps.DeleteFunc(o.Resources, func(id ID, r Resource) bool {
		rule, is := r.Spec.(Rule)
		return is && r.Mark.Federation == "" && !addresses[rule.IP]
	})
	defer func() { s.earlier = o }()
	o.At, o.Machines, o.Health = s.now, s.machines, s.health
	for id, r := range o.Resources {
		if a, ok := r.Spec.(Address); ok {
			a.InUse = slices.ContainsFunc(slices.Collect(maps.Values(o.Resources)), func(r Resource) bool {
				rule, is := r.Spec.(Rule)
				return is && rule.IP == a.IP
			})
			r.Spec = a
			o.Resources[id] = r
		}
	}
	if s.partial != nil {
		s.partial(&o)
	}
	return o
}

func (s *scene) build() Wanted { return Build(s.input(), s.look()) }

// round builds, plans and executes once, and probes.
func (s *scene) round() (Wanted, Planned, error) {
	look := s.look()
	want := Build(s.input(), look)
	planned := Plan(want, look)
	for _, a := range planned.Actions {
		if a.Verb == Detach {
			s.left[a.Want.Mark.Cluster] = s.now
		}
		if err := s.cloud.do(a); err != nil {
			return want, planned, fmt.Errorf("%s %s: %w", a.Verb, a.ID, err)
		}
	}
	s.probe()
	return want, planned, nil
}

// probe sets the health of all backends.
func (s *scene) probe() {
	s.health = map[ID]map[ID]GroupHealth{}
	for id, r := range s.cloud.resources {
		service, ok := r.Spec.(Service)
		if !ok {
			continue
		}
		s.health[id] = map[ID]GroupHealth{}
		for _, backend := range service.Backends {
			group := s.cloud.resources[backend.Group]
			health := GroupHealth{At: s.now}
			if n := len(group.Spec.(Group).Endpoints); s.unhealthy[group.Mark.Cluster] {
				health.Unhealthy = n
			} else {
				health.Healthy = n
			}
			s.health[id][backend.Group] = health
		}
	}
}

// settle goes round until nothing is to be done, and returns what is wanted then.
func (s *scene) settle(t *testing.T) Wanted {
	t.Helper()
	for range 12 {
		want, planned, err := s.round()
		if err != nil {
			t.Fatalf("execute: %v", err)
		}
		if planned.Settled {
			return want
		}
	}
	t.Fatalf("not settled after 12 rounds: %v", Plan(s.build(), s.look()).Actions)
	return Wanted{}
}

// pass lets time go by.
func (s *scene) pass(d time.Duration) { s.now = s.now.Add(d) }

// service is the backend service of nginx, wanted and there.
func serviceOf(t *testing.T, want Wanted) (ID, Service) {
	t.Helper()
	for _, b := range want.Balancers {
		if id, ok := b.Services["default/nginx:80"]; ok {
			service, _ := want.Resources[id].Spec.(Service)
			return id, service
		}
	}
	t.Fatal("no backend service for default/nginx:80")
	return ID{}, Service{}
}

// backendsOf are the backends of a cluster in the backend service of nginx.
func backendsOf(t *testing.T, want Wanted, cluster string) []Backend {
	t.Helper()
	_, service := serviceOf(t, want)
	var found []Backend
	for _, b := range service.Backends {
		if slices.Contains(want.Balancers[0].Groups[cluster], b.Group) {
			found = append(found, b)
		}
	}
	return found
}

// endpointsOf are the names of a cluster's endpoints in the wanted groups of nginx.
func endpointsOf(want Wanted, cluster string) []string {
	names := []string{}
	for _, r := range want.Resources {
		if g, ok := r.Spec.(Group); ok && r.Mark.Cluster == cluster {
			for _, e := range g.Endpoints {
				names = append(names, cmpOr(e.Instance, e.Address))
			}
		}
	}
	slices.Sort(names)
	return names
}

// findings lists "severity id cluster: message" of what was found.
func findings(want Wanted) string {
	var lines []string
	for _, f := range want.Findings {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Severity, f.ID, f.Cluster))+": "+f.Message.String())
	}
	return strings.Join(lines, "\n")
}

// kindOf are the wanted resources of one kind, sorted.
func kindOf(want Wanted, kind Kind) []Resource {
	var found []Resource
	for id, r := range want.Resources {
		if id.Kind == kind {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(x, y Resource) int { return x.ID.Compare(y.ID) })
	return found
}

// made are the wanted resources that are ours to make.
func made(want Wanted) map[ID]Resource {
	ours := maps.Clone(want.Resources)
	maps.DeleteFunc(ours, func(_ ID, r Resource) bool { return r.Mark.Federation == "" })
	return ours
}

// state is that of a cluster behind the load balancer of nginx.
func (s *scene) state(cluster string) federation.BalancerCluster {
	look := s.look()
	want := Build(s.input(), look)
	for _, b := range Traffic(s.input(), want, look, Plan(want, look)) {
		if c, ok := b.Cluster(cluster); ok {
			return c
		}
	}
	return federation.BalancerCluster{}
}

// tag sets the tags of the machines of c1.
func (s *scene) tag(tags ...[]string) {
	for i, n := range s.facts["c1"].Nodes {
		m := s.machines[n.ProviderID]
		m.Tags = tags[i%len(tags)]
		s.machines[n.ProviderID] = m
	}
}

// node edits the i-th node of c1.
func (s *scene) node(i int, edit func(*federation.Node)) {
	s.change("c1", func(f *federation.ClusterFacts) { edit(&f.Nodes[i]) })
}

// rateOf is what the groups of c1 take together.
func rateOf(t *testing.T, want Wanted) float64 {
	t.Helper()
	sum := 0.0
	for _, b := range backendsOf(t, want, "c1") {
		sum += b.MaxRate
	}
	return sum
}
