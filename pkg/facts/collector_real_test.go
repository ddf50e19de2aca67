package facts

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/membertest"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/watch"
)

// following is a running collector with its watcher.
type following struct {
	*Collector
	namespace string
	changed   chan struct{} // one token suffices for any number of changes
}

func follow(t *testing.T, m *membertest.Member, requests *membertest.Counter) *following {
	t.Helper()
	client, _ := membertest.NewClient(t, requests.Wrap(m.Cfg))
	f := &following{namespace: m.Namespace, changed: make(chan struct{}, 1)}
	g := gather(t, ReplicaSets(client))
	g.options.Changed = func() {
		select {
		case f.changed <- struct{}{}:
		default:
		}
	}
	f.Collector = g.Collector
	g.runs()
	w := watch.NewWatcher(client, f.Observe)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		w.Run(t.Context())
	}()
	done := make(chan struct{})
	go func() { // as the watches follow the Ingresses
		defer close(done)
		for {
			w.Want(append(f.Watches(), ourReplicaSets, ourDeployments))
			select {
			case <-t.Context().Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { <-done; <-watched })
	return f
}

// wait waits until the facts of our namespace are as wanted.
func (f *following) wait(t *testing.T, what string, read func(federation.ClusterFacts) string, want string) federation.ClusterFacts {
	t.Helper()
	deadline := time.Now().Add(membertest.Patience)
	for {
		var facts federation.ClusterFacts
		f.Facts(time.Now(), &facts)
		got := read(facts)
		if got == want {
			return facts
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s after %v: %s, want %s", what, membertest.Patience, got, want)
		}
		timer := time.NewTimer(time.Second) // for changes by time
		select {
		case <-f.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// workloads formats the workloads of our namespace as "kind ready of replicas, waiting,
// capacity".
func (f *following) workloads(facts federation.ClusterFacts) string {
	var list []string
	for _, w := range facts.Workloads {
		if w.Object.Namespace != f.namespace {
			continue
		}
		capacity := "-"
		if w.Limited {
			capacity = fmt.Sprint(w.Capacity)
		}
		list = append(list, fmt.Sprintf("%s %d of %d, %d wait, capacity %s", w.Object.Kind, w.Ready, w.Replicas, w.Unschedulable, capacity))
	}
	return strings.Join(list, "; ")
}

// podsOnAPort returns a template of pods of which a node can run only one, because each
// uses a port of the node.
func podsOnAPort(app string, port int) string {
	return fmt.Sprintf(`selector: {matchLabels: {app: %s}}, template: {metadata: {labels: {app: %[1]s}},
		spec: {containers: [{name: c, image: example.com/c, ports: [{containerPort: 8080, hostPort: %d}]}]}}`, app, port)
}

func TestCollectorReadsTheFactsOfARealCluster(t *testing.T) {
	m := membertest.NewMember(t, lab.Shared(t))
	var requests membertest.Counter
	f := follow(t, m, &requests)

	labels := fmt.Sprintf("labels: {%s: shop}", partOf)
	m.Make(t, replicaSetsResource, fmt.Sprintf(`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: nginx, %s}, spec: {replicas: 5, %s}}`,
		labels, podsOnAPort("nginx", 18080)))
	m.Make(t, deploymentsResource, fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: echo, %s}, spec: {replicas: 4, %s}}`,
		labels, podsOnAPort("echo", 18081)))
	service := m.Make(t, servicesResource, fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: nginx, %s},
		spec: {type: NodePort, selector: {app: nginx}, ports: [{port: 80, targetPort: 8080}]}}`, labels))
	foreign := m.Make(t, servicesResource, `{apiVersion: v1, kind: Service, metadata: {name: foreign},
		spec: {type: NodePort, selector: {app: echo}, ports: [{port: 81}]}}`)
	m.Make(t, quotasResource, `{apiVersion: v1, kind: ResourceQuota, metadata: {name: few}, spec: {hard: {services.nodeports: "7", requests.storage: 1Ti}}}`)
	m.Make(t, secretsResource, `{apiVersion: v1, kind: Secret, type: kubernetes.io/tls, metadata: {name: a-tls}, data: {tls.crt: b25l, tls.key: c2VjcmV0}}`)
	m.Make(t, ingressesResource, fmt.Sprintf(`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: nginx, %s},
		spec: {ingressClassName: elsewhere, tls: [{secretName: a-tls}, {secretName: b-tls}], defaultBackend: {service: {name: nginx, port: {number: 80}}}}}`, labels))

	facts := f.wait(t, "workloads", f.workloads, "Deployment 3 of 4, 1 wait, capacity -; ReplicaSet 3 of 5, 2 wait, capacity -")
	for _, w := range facts.Workloads {
		if w.Object.Namespace == m.Namespace && !strings.Contains(w.Reason.String(), "nodes are available") {
			t.Errorf("%s: Reason = %q, want the scheduler's", w.Object, w.Reason)
		}
	}
	gets := map[string]int{}
	for _, request := range requests.List() {
		if strings.HasPrefix(request, "GET ") && strings.Contains(request, "/replicasets/") {
			gets[path.Base(request)]++
		}
	}
	delete(gets, "nginx") // one of its pods may be seen before the ReplicaSet
	if len(gets) != 1 || !slices.Equal(slices.Collect(maps.Values(gets)), []int{1}) {
		t.Errorf("requested ReplicaSets: %v, want only the Deployment's", gets)
	}

	f.wait(t, "endpoints", func(facts federation.ClusterFacts) string {
		var list []string
		for _, e := range facts.Endpoints {
			if e.Namespace == m.Namespace {
				ports := slices.ContainsFunc(e.Addresses, func(a string) bool { return !strings.HasSuffix(a, ":8080") })
				list = append(list, fmt.Sprintf("%s %d ready, %d not, %d addresses, all :8080 %v", e.Service, e.Ready, e.NotReady, len(e.Addresses), !ports))
			}
		}
		return strings.Join(list, "; ")
	}, "nginx 3 ready, 0 not, 3 addresses, all :8080 true")

	held := func(u *unstructured.Unstructured) int64 {
		number, _ := live.Objects(u, "spec", "ports")[0]["nodePort"].(int64)
		return number
	}
	ports := []string{fmt.Sprintf("%d nginx 80", held(service)), fmt.Sprintf("%d foreign 81", held(foreign))}
	slices.Sort(ports)
	f.wait(t, "node ports", func(facts federation.ClusterFacts) string {
		var list []string
		for _, p := range facts.NodePorts {
			if p.Namespace == m.Namespace {
				list = append(list, fmt.Sprintf("%d %s %d", p.Port, p.Service, p.ServicePort))
			}
		}
		return fmt.Sprint(facts.PortsKnown, list)
	}, fmt.Sprint(true, ports))

	f.wait(t, "quota", func(facts federation.ClusterFacts) string {
		var list []string
		for _, q := range facts.Quotas {
			if q.Namespace == m.Namespace {
				list = append(list, fmt.Sprintf("%s: %v of %v", q.Name, q.Used, q.Hard))
			}
		}
		return strings.Join(list, "; ")
	}, "few: map[services.nodeports:2] of map[services.nodeports:7]")

	f.wait(t, "certificates", func(facts federation.ClusterFacts) string {
		var list []string
		for _, c := range facts.Certificates {
			if c.Namespace == m.Namespace {
				list = append(list, fmt.Sprintf("%s %v %s %s", c.Name, c.Exists, c.Type, c.Digest))
			}
		}
		return strings.Join(list, "; ")
	}, "a-tls true kubernetes.io/tls 7692c3ad3540bb803c020b3aee66cd88; b-tls false  ")
	m.Make(t, secretsResource, `{apiVersion: v1, kind: Secret, type: Opaque, metadata: {name: b-tls}}`)
	f.wait(t, "certificates", func(facts federation.ClusterFacts) string {
		i := slices.IndexFunc(facts.Certificates, func(c federation.Certificate) bool {
			return c.Namespace == m.Namespace && c.Name == "b-tls"
		})
		return fmt.Sprintf("%v %s", facts.Certificates[i].Exists, facts.Certificates[i].Type)
	}, "true Opaque")

	f.wait(t, "ingresses", func(facts federation.ClusterFacts) string {
		var list []string
		for _, i := range facts.Ingresses {
			if i.Namespace == m.Namespace {
				list = append(list, fmt.Sprintf("%s, ours %v, class %s", i.Name, i.Ours, i.ClassName))
			}
		}
		return strings.Join(list, "; ")
	}, "nginx, ours true, class elsewhere")
	f.wait(t, "the UID", func(facts federation.ClusterFacts) string { return fmt.Sprint(facts.IngressUID.Known) }, "true")
	facts = f.wait(t, "what is refused", func(facts federation.ClusterFacts) string { return fmt.Sprint(len(facts.Blind)) }, "0")
	if len(facts.Zones) != 1 || len(facts.Regions) != 1 || !strings.HasPrefix(facts.Zones[0], facts.Regions[0]) {
		t.Errorf("zones %q, regions %q; want those of %s", facts.Zones, facts.Regions, m.Name)
	}

	age(t, m)
	f.wait(t, "room", f.workloads, "Deployment 3 of 4, 1 wait, capacity 3; ReplicaSet 3 of 5, 2 wait, capacity 3")
	m.Patch(t, deploymentsResource, "echo", `{"spec":{"replicas":3}}`)
	f.wait(t, "room for a smaller Deployment", f.workloads, "Deployment 3 of 3, 0 wait, capacity -; ReplicaSet 3 of 5, 2 wait, capacity 3")

	m.Patch(t, servicesResource, "nginx", fmt.Sprintf(`{"metadata":{"labels":{%q:null}}}`, partOf))
	f.wait(t, "endpoints of a Service that is no longer ours", func(facts federation.ClusterFacts) string {
		ours := slices.ContainsFunc(facts.Endpoints, func(e federation.Endpoints) bool { return e.Namespace == m.Namespace })
		return fmt.Sprint(ours)
	}, "false")
}

// age makes pods without a node look older than they are, to save the test a minute.
func age(t *testing.T, m *membertest.Member) {
	t.Helper()
	pods, err := m.Client.Resource(podsResource).Namespace(m.Namespace).
		List(t.Context(), metav1.ListOptions{FieldSelector: podsWatch.FieldSelector})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range pods.Items {
		m.Patch(t, podsResource, u.GetName(), fmt.Sprintf(
			`{"status":{"conditions":[{"type":"PodScheduled","lastTransitionTime":%q}]}}`,
			time.Now().Add(-2*time.Minute).UTC().Format(time.RFC3339)), "status")
	}
}
