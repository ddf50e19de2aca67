package fedfile_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
)

func TestParseFactsReadsAHandWrittenFile(t *testing.T) {
	const file = `apiVersion: fedsync.dev/v1alpha1
kind: Facts
clusters:
- name: gce-asia-east1a
  state: Ready                     # Ready | NotReady | Offline
  nodePorts:
  - {protocol: TCP, port: 30036, namespace: default, service: legacy, servicePort: 80}
  workloads:
  - {kind: ReplicaSet, namespace: default, name: nginx, replicas: 17, ready: 10, unschedulable: 7}
`
	got, err := fedfile.ParseFacts([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := federation.Facts{Clusters: map[string]federation.ClusterFacts{
		"gce-asia-east1a": {
			State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true,
			NodePorts: []federation.NodePort{{Protocol: "TCP", Port: 30036, Namespace: "default", Service: "legacy", ServicePort: 80}},
			Workloads: []federation.Workload{{
				Object:   federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "default", Name: "nginx"},
				Replicas: 17, Ready: 10, Current: 10, Unschedulable: 7, Limited: true, Capacity: 10,
			}},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ParseFacts (-want +got):\n%s", diff)
	}
}

func TestFactsDefaults(t *testing.T) {
	for _, c := range []struct {
		name, cluster string
		want          federation.ClusterFacts
	}{
		{
			"a cluster with a name alone is that of a missing one", `{name: a}`,
			federation.Facts{}.Of("a"),
		},
		{
			"one that is away was seen, and is not seen now", `{name: a, state: Offline}`,
			federation.ClusterFacts{State: federation.ClusterOffline, Outage: true, Seen: true, PortsKnown: true, IngressesKnown: true},
		},
		{
			"one that has missed a probe is taken at its word", `{name: a, state: NotReady}`,
			federation.ClusterFacts{State: federation.ClusterNotReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true},
		},
		{
			"one that is back and not seen yet", `{name: a, synced: false, outage: true}`,
			federation.ClusterFacts{State: federation.ClusterReady, Outage: true, Seen: true, PortsKnown: true, IngressesKnown: true},
		},
		{
			"what is said wins", `{name: a, state: Unknown, synced: true, seen: false, portsKnown: false}`,
			federation.ClusterFacts{State: federation.ClusterUnknown, Synced: true, IngressesKnown: true},
		},
		{
			"ports are sorted, by TCP in default unless given",
			`{name: a, nodePorts: [{port: 30002, service: b}, {port: 30001, service: a, protocol: UDP, namespace: web}]}`,
			federation.ClusterFacts{
				State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true,
				NodePorts: []federation.NodePort{
					{Protocol: "UDP", Port: 30001, Namespace: "web", Service: "a"},
					{Protocol: "TCP", Port: 30002, Namespace: "default", Service: "b"},
				},
			},
		},
		{
			"pods that wait for a moment only do not limit", `{name: a, workloads: [{kind: Deployment, name: d, replicas: 3, ready: 1, current: 3, unschedulable: 2, limited: false}]}`,
			federation.ClusterFacts{
				State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true,
				Workloads: []federation.Workload{{
					Object:   federation.ObjectRef{Group: "apps", Kind: "Deployment", Namespace: "default", Name: "d"},
					Replicas: 3, Ready: 1, Current: 3, Unschedulable: 2,
				}},
			},
		},
		{
			"more pods wait than replicas are wanted", `{name: a, workloads: [{kind: ReplicaSet, name: r, replicas: 1, unschedulable: 2}]}`,
			federation.ClusterFacts{
				State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true,
				Workloads: []federation.Workload{{
					Object:   federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "default", Name: "r"},
					Replicas: 1, Unschedulable: 2, Limited: true,
				}},
			},
		},
		{
			"a ConfigMap that is known to be missing", `{name: a, ingressUID: {exists: false}}`,
			federation.ClusterFacts{
				State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true,
				IngressUID: federation.IngressUID{Known: true},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := fedfile.ParseFacts([]byte("apiVersion: fedsync.dev/v1alpha1\nkind: Facts\nclusters: [" + c.cluster + "]\n"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Of("a")); diff != "" {
				t.Errorf("facts of a (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseFactsNamesEveryMistakeWithItsLine(t *testing.T) {
	const file = `apiVersion: fedsync.dev/v1alpha1
kind: Fact
clusters:
- name: a
  state: Redy
  nodePort: []
  nodePorts:
  - {port: 70000, service: web}
  - {port: "30036", service: web}
  since: yesterday
  workloads:
  - {kind: ReplicaSet, name: nginx, replicas: -1}
  - {kind: ReplicaSet, name: nginx, replicas: 1, redy: 1}
  - {kind: ReplicaSet, replicas: 1}
  inventory: {web: [nginx]}
  nodes: [{name: n, since: noon}, {name: n}]
  quotas: [{name: q, hard: {pods: 1e20}}]
- name: a
balancers:
- {ingress: web, clusters: [{cluster: a, state: Serves}]}
- {ingress: Ingress/web/web, since: noon}
- {ingress: Ingress/web/web}
`
	_, err := fedfile.ParseFacts([]byte(file))
	var found fedfile.Errors
	if !errors.As(err, &found) {
		t.Fatalf("ParseFacts = %v, want Errors", err)
	}
	want := `f.yaml:2: kind: want Facts, got Fact
f.yaml:5: clusters[0].state: "Redy" is not supported: want Ready, NotReady, Offline, Unknown or Pending; did you mean "Ready"?
f.yaml:6: clusters[0].nodePort: unknown field "nodePort"; did you mean "nodePorts"?
f.yaml:8: clusters[0].nodePorts[0].port: want 65535 or less, got 70000
f.yaml:9: clusters[0].nodePorts[1].port: want an integer, got a string
f.yaml:10: clusters[0].since: "yesterday" is not a valid time: write it as 2026-01-02T15:04:05Z
f.yaml:12: clusters[0].workloads[0].replicas: want 0 or more, got -1
f.yaml:13: clusters[0].workloads[1]: apps/ReplicaSet/default/nginx is listed twice, first as workloads[0]
f.yaml:13: clusters[0].workloads[1].redy: unknown field "redy"; did you mean "ready"?
f.yaml:14: clusters[0].workloads[2]: "name" is missing
f.yaml:15: clusters[0].inventory.web[0]: object reference "nginx": want [GROUP/]KIND[/NAMESPACE]/NAME, as in apps/ReplicaSet/web/nginx
f.yaml:16: clusters[0].nodes[0].since: "noon" is not a valid time: write it as 2026-01-02T15:04:05Z
f.yaml:16: clusters[0].nodes[1]: node "n" is listed twice, first as nodes[0]
f.yaml:17: clusters[0].quotas[0].hard.pods: want 9223372036854775807 or less, got 100000000000000000000
f.yaml:18: clusters[1].name: cluster "a" is listed twice, first as clusters[0]
f.yaml:20: balancers[0].clusters[0].state: "Serves" is not supported: want Serving, Waiting, Unhealthy, NoEndpoints, Unknown, Draining or Drained
f.yaml:20: balancers[0].ingress: object reference "web": want [GROUP/]KIND[/NAMESPACE]/NAME, as in apps/ReplicaSet/web/nginx
f.yaml:21: balancers[1].since: "noon" is not a valid time: write it as 2026-01-02T15:04:05Z
f.yaml:22: balancers[2].ingress: Ingress/web/web is listed twice, first as balancers[1]`
	if diff := cmp.Diff(want, found.In("f.yaml").Error()); diff != "" {
		t.Errorf("ParseFacts (-want +got):\n%s", diff)
	}
}

func TestParseFactsRefusesOtherFiles(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"nothing", "", "facts: the file is empty; begin it with apiVersion: fedsync.dev/v1alpha1 and kind: Facts"},
		{"no YAML", "[", "facts:1: not YAML: did not find expected node content"},
		{"a list", "[]", "facts:1: want a map, got a list"},
		{"two documents", "{apiVersion: fedsync.dev/v1alpha1, kind: Facts, clusters: []}\n---\n{}", "facts:3: a second document begins here; the file must hold exactly one Facts"},
		{"a fedsync.yaml", "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec: {clusters: []}\n", "facts:2: kind: want Facts, got Federation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := fedfile.ParseFacts([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ParseFacts = %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestFactsArePrintedForPeople(t *testing.T) {
	facts := federation.Facts{Clusters: map[string]federation.ClusterFacts{
		"b": {
			State: federation.ClusterOffline, Failure: federation.FailureRefused, Error: untrusted.New("connection refused"),
			Since: time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), Outage: true, Seen: true, PortsKnown: true, IngressesKnown: true,
		},
		"a": {
			State: federation.ClusterReady, Synced: true, Seen: true, PortsKnown: true, IngressesKnown: true, Version: "v1.37.2",
			Inventory: map[string][]federation.ObjectRef{"echo": {{Kind: "Service", Namespace: "web", Name: "echo"}}},
			NodePorts: []federation.NodePort{{Protocol: "TCP", Port: 30036, Namespace: "default", Service: "legacy", ServicePort: 80}},
			Workloads: []federation.Workload{{
				Object:   federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "default", Name: "nginx"},
				Replicas: 17, Ready: 10, Current: 10, Unschedulable: 7, Limited: true, Capacity: 10,
			}},
		},
	}}
	want := `apiVersion: fedsync.dev/v1alpha1
kind: Facts
clusters:
- name: a
  state: Ready
  version: v1.37.2
  inventory:
    echo: [Service/web/echo]
  nodePorts:
  - {protocol: TCP, port: 30036, namespace: default, service: legacy, servicePort: 80}
  workloads:
  - {kind: ReplicaSet, namespace: default, name: nginx, replicas: 17, ready: 10, unschedulable: 7}
- name: b
  state: Offline
  failure: refused
  error: connection refused
  since: "2026-01-02T15:04:05Z"
`
	got, err := fedfile.FactsYAML(facts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("YAML (-want +got):\n%s", diff)
	}
}

func TestFactsSurviveTheirFile(t *testing.T) {
	for seed := range uint64(300) {
		facts := randomFacts(rand.New(rand.NewPCG(seed, 1))) //nolint:gosec // The same facts each time.
		for name, encode := range map[string]func(federation.Facts) ([]byte, error){"YAML": fedfile.FactsYAML, "JSON": fedfile.FactsJSON} {
			data, err := encode(facts)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, name, err)
			}
			got, err := fedfile.ParseFacts(data)
			if err != nil {
				t.Fatalf("seed %d: ParseFacts of %s: %v\n%s", seed, name, err, data)
			}
			if diff := cmp.Diff(facts, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("seed %d: through %s (-want +got):\n%s\n%s", seed, name, diff, data)
			}
		}
	}
}

// A new field of the facts that is missing from the file format would be lost
// silently: the facts of the test above must have every field.
func TestFactsSurviveTheirFileWithEveryField(t *testing.T) {
	set := map[string]bool{}
	for seed := range uint64(300) {
		facts := randomFacts(rand.New(rand.NewPCG(seed, 1))) //nolint:gosec // The same facts each time.
		fieldsSet(reflect.ValueOf(facts), "", set)
	}
	for _, field := range slices.Sorted(maps.Keys(set)) {
		if !set[field] {
			t.Errorf("no random facts have a %s: add it to randomFacts", field)
		}
	}
}

// fieldsSet records which fields of a value are non-zero in at least one place.
func fieldsSet(v reflect.Value, at string, set map[string]bool) {
	if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[time.Time]() || v.Type() == reflect.TypeFor[untrusted.Text]() {
		set[at] = set[at] || !v.IsZero()
		switch v.Kind() { //nolint:exhaustive // Only these hold further structs.
		case reflect.Slice:
			for i := range v.Len() {
				fieldsSet(v.Index(i), at+"[]", set)
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				fieldsSet(v.MapIndex(key), at+"{}", set)
			}
		}
		return
	}
	for i := range v.NumField() {
		fieldsSet(v.Field(i), at+"."+v.Type().Field(i).Name, set)
	}
}

// failureClasses are all failure classes: a cluster and a watch may fail in any way.
var failureClasses = []federation.FailureClass{
	federation.FailureNone, federation.FailureDNS, federation.FailureRefused, federation.FailureTimeout,
	federation.FailureTLS, federation.FailureUnauthorised, federation.FailureForbidden, federation.FailureThrottled,
	federation.FailureServer, federation.FailureInvalid, federation.FailureConflict, federation.FailureContext,
	federation.FailureFiles, federation.FailureMisbehaves, federation.FailureNetwork,
}

// randomFacts returns facts that clusters may report, with texts that they should
// not.
func randomFacts(r *rand.Rand) federation.Facts {
	flip := func() bool { return r.IntN(2) == 0 }
	number := func(n int) int64 { return int64(r.IntN(n)) }
	text := func() string {
		return pick(r, "", "words", "on", "007", "2026-01-02", "null", "a: b, {c} #d", "two\nlines\n", "\x1b[2J", "<<", "\x7f", "\u0085", "\ufffe", "\ufeff", "\u2028", "\U0001fffe", "ünï", `"quoted" \ and 'so'`, " - ")
	}
	name := func() string { return pick(r, "web", "nginx", "echo", "0", "true", "a.b-c") }
	moment := func() time.Time {
		if flip() {
			return time.Time{}
		}
		return time.Unix(number(2e9), number(1e9)).UTC()
	}
	facts := federation.Facts{Clusters: map[string]federation.ClusterFacts{}}
	for i := range r.IntN(4) {
		f := federation.ClusterFacts{
			State: pick(r, federation.ClusterReady, federation.ClusterNotReady, federation.ClusterOffline,
				federation.ClusterUnknown, federation.ClusterPending),
			Failure: pick(r, failureClasses...),
			UID:     text(), Error: untrusted.New(text()), Since: moment(), AwaySince: moment(), Failed: r.IntN(3), Probes: r.IntN(100), Version: text(),
			Outage: flip(), Synced: flip(), Seen: flip(), PortsKnown: flip(), ServicesKnown: flip(),
			NodesKnown: flip(), IngressesKnown: flip(), AutoscalersKnown: flip(), StorageClassesKnown: flip(), IngressClassesKnown: flip(),
		}
		if flip() {
			f.IngressUID = federation.IngressUID{Known: true, Exists: flip(), UID: text(), Provider: text()}
		}
		if flip() {
			f.Inventory = map[string][]federation.ObjectRef{
				name():    {{Group: "apps", Kind: "ReplicaSet", Namespace: name(), Name: name()}, {Group: "b", Kind: "Namespace", Name: name()}},
				"emptied": {},
			}
		}
		for j := range r.IntN(3) {
			f.NodePorts = append(f.NodePorts, federation.NodePort{
				Protocol: pick(r, "TCP", "UDP", "SCTP"), Port: int32(30000 + j), Namespace: name(), Service: name(), //nolint:gosec // j is below 3.
				ServicePort: pick(r, int32(0), 80), HealthCheck: flip(),
			})
			w := federation.Workload{
				Object: federation.ObjectRef{
					Group: pick(r, "apps", "", "extensions"), Kind: pick(r, "ReplicaSet", "Deployment", "Rollout"),
					Namespace: name(), Name: fmt.Sprint("w", j),
				},
				Replicas: number(20), Ready: number(20), Current: number(20), Unschedulable: number(3),
				Limited: flip(), Reason: untrusted.New(text()), Scaled: flip(),
			}
			if w.Limited {
				w.Capacity = number(20)
			}
			f.Workloads = append(f.Workloads, w)
			f.Ingresses = append(f.Ingresses, federation.Ingress{
				Namespace: "web", Name: fmt.Sprint("i", j), Ours: flip(), ClassName: text(), URLMap: text(),
				Created: moment(), Addresses: []string{"203.0.113.1", "203.0.113.2"}[:r.IntN(3)],
				Google: flip(), GoogleHeld: flip(), StatusBy: untrusted.New(text()),
			})
			f.Nodes = append(f.Nodes, federation.Node{
				Name: fmt.Sprint("n", j), ProviderID: text(), Zone: text(), Address: text(), Ready: flip(), Since: moment(), Excluded: flip(),
			})
			f.Endpoints = append(f.Endpoints, federation.Endpoints{
				Namespace: "web", Service: fmt.Sprint("s", j), Ready: r.IntN(3), NotReady: r.IntN(3), Addresses: []string{"[2001:db8::1]:80"}[:r.IntN(2)],
			})
			f.Quotas = append(f.Quotas, federation.Quota{
				Namespace: "web", Name: fmt.Sprint("q", j), Hard: map[string]int64{"pods": number(9), "count/replicasets.apps": 0}, Used: map[string]int64{"pods": number(9)}, Scoped: flip(),
			})
			f.Services = append(f.Services, federation.Service{
				Namespace: "web", Name: fmt.Sprint("s", j), Type: pick(r, "ClusterIP", "NodePort"), NEG: text(),
				Ports: []federation.Port{{Name: text(), Protocol: "UDP", Port: 80, NodePort: 30001}, {Protocol: "TCP", Port: 81}}[:r.IntN(3)],
			})
			f.Certificates = append(f.Certificates, federation.Certificate{
				Namespace: "web", Name: fmt.Sprint("c", j), Exists: flip(), Type: text(), Digest: text(),
			})
			namespace := name()
			f.Autoscalers = append(f.Autoscalers, federation.Autoscaler{
				Namespace: namespace, Name: fmt.Sprint("h", j), Ours: flip(), Owner: text(),
				Target: federation.ObjectRef{Group: pick(r, "apps", "", "b"), Kind: pick(r, "Deployment", "Rollout"), Namespace: namespace, Name: name()},
			})
			f.StorageClasses = append(f.StorageClasses, federation.StorageClass{Name: fmt.Sprint("c", j), WaitsForConsumer: flip()})
			f.IngressClasses = append(f.IngressClasses, federation.IngressController{Class: fmt.Sprint("c", j), Controller: text()})
			f.Blind = append(f.Blind, federation.Blind{
				Resource: fmt.Sprint("r", j), Error: untrusted.New(text()),
				Failure: pick(r, failureClasses...),
			})
			f.Zones = append(f.Zones, fmt.Sprint("z", j))
			f.Regions = append(f.Regions, fmt.Sprint("r", j))
		}
		slices.SortFunc(f.Workloads, func(a, b federation.Workload) int { return a.Object.Compare(b.Object) })
		slices.SortFunc(f.Autoscalers, func(a, b federation.Autoscaler) int {
			return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
		})
		facts.Clusters[fmt.Sprint("cluster-", i)] = f
	}
	if facts.BalancersKnown = flip(); !facts.BalancersKnown {
		return facts
	}
	for i := range r.IntN(3) {
		b := federation.Balancer{
			Ingress: federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "web", Name: fmt.Sprint("i", i)},
			App:     text(), File: text(), Address: text(), AddressName: text(), Complete: flip(), Refused: untrusted.New(text()), Waits: flip(), Since: moment(),
			Resources: []string{"URL map a", "forwarding rule b"}[:r.IntN(3)],
		}
		for j := range r.IntN(3) {
			b.Clusters = append(b.Clusters, federation.BalancerCluster{
				Cluster: fmt.Sprint("cluster-", j), State: pick(r, federation.TrafficServing, federation.TrafficDrained),
				Endpoints: r.IntN(9), Healthy: r.IntN(9), Reason: untrusted.New(text()),
			})
		}
		facts.Balancers = append(facts.Balancers, b)
	}
	return facts
}

func pick[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }
