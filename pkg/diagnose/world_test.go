package diagnose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/diagnose"
	"github.com/fedsync/fedsync/pkg/federation"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// What the world runs: an Ingress, its Service and its pods, in every cluster.
const (
	ingressYAML = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations: {kubernetes.io/ingress.class: gce}
spec:
  tls: [{secretName: cert}]
  defaultBackend: {service: {name: web, port: {number: 80}}}
`
	serviceYAML = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{name: http, port: 80, nodePort: 30061}]
`
	replicaSetYAML = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template: {metadata: {labels: {app: web}}}
`
)

var (
	ingressRef    = federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "shop", Name: "web"}
	serviceRef    = federation.ObjectRef{Kind: "Service", Namespace: "shop", Name: "web"}
	replicaSetRef = federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "shop", Name: "web"}
	secretRef     = federation.ObjectRef{Kind: "Secret", Namespace: "shop", Name: "cert"}
	uidRef        = federation.ObjectRef{Kind: "ConfigMap", Namespace: "kube-system", Name: "ingress-uid"}
)

func object(t testing.TB, text string) *federation.Object {
	t.Helper()
	var content map[string]any
	if err := yaml.Unmarshal([]byte(text), &content); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	metadata := content["metadata"].(map[string]any)
	o, err := federation.NewObject(content, fmt.Sprintf("apps/web/%s.yaml", strings.ToLower(content["kind"].(string)+"-"+metadata["name"].(string))))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// world is a federation of three clusters in which all is well.
type world struct {
	t  testing.TB
	in diagnose.Input
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, in: diagnose.Input{
		Federation:   &federation.Federation{Name: "web", Apps: []federation.App{{Name: "web", Path: "apps/web"}}},
		Facts:        federation.Facts{Clusters: map[string]federation.ClusterFacts{}},
		Observations: map[string][]federation.Observation{},
		Now:          now,
	}}
	objects := []*federation.Object{object(t, ingressYAML), object(t, serviceYAML), object(t, replicaSetYAML)}
	decision := federation.ReplicasDecision{App: "web", Object: replicaSetRef, File: "apps/web/replicaset-web.yaml", Total: 6}
	for _, name := range []string{"c1", "c2", "c3"} {
		w.in.Federation.Clusters = append(w.in.Federation.Clusters, federation.Cluster{Name: name, Context: "ctx-" + name})
		w.in.Plan.Clusters = append(w.in.Plan.Clusters, federation.ClusterPlan{
			Cluster: name, Apps: []federation.AppPlan{{App: "web", Objects: slices.Clone(objects)}},
		})
		facts := healthy()
		facts.IngressUID.Provider = "of-" + name
		w.in.Facts.Clusters[name] = facts
		w.in.Observations[name] = observed(name)
		decision.Shares = append(decision.Shares, federation.ReplicasShare{Cluster: name, Share: 2, Replicas: 2, Live: 2})
	}
	w.in.Plan.Replicas = []federation.ReplicasDecision{decision}
	w.in.Plan.Ports = []federation.PortDecision{{
		App: "web", Service: serviceRef, File: "apps/web/service-web.yaml",
		Protocol: "TCP", Port: 80, NodePort: 30061, Basis: federation.PortPinned,
	}}
	return w
}

func healthy() federation.ClusterFacts {
	return federation.ClusterFacts{
		State: federation.ClusterReady, Synced: true, Seen: true, Probes: 30,
		PortsKnown: true, ServicesKnown: true,
		NodePorts: []federation.NodePort{{Protocol: "TCP", Port: 30061, Namespace: "shop", Service: "web", ServicePort: 80}},
		Workloads: []federation.Workload{{Object: replicaSetRef, Replicas: 2, Ready: 2, Current: 2}},
		Ingresses: []federation.Ingress{{Namespace: "shop", Name: "web", Ours: true, ClassName: "gce", URLMap: "k8s-um-shop-web--aaaa"}},
		Endpoints: []federation.Endpoints{{Namespace: "shop", Service: "web", Ready: 2}},
		Services: []federation.Service{{
			Namespace: "shop", Name: "web", Type: "NodePort", Ports: []federation.Port{{Name: "http", Port: 80, NodePort: 30061}},
		}},
		IngressUID: federation.IngressUID{Known: true, Exists: true, UID: "aaaa"},
		Quotas: []federation.Quota{{
			Namespace: "shop", Name: "limits",
			Hard: map[string]int64{"services": 1, "services.nodeports": 1, "pods": 2, "count/replicasets.apps": 1},
			Used: map[string]int64{"services": 1, "services.nodeports": 1, "pods": 2, "count/replicasets.apps": 1},
		}},
		Certificates: []federation.Certificate{{Namespace: "shop", Name: "cert", Exists: true, Type: "kubernetes.io/tls", Digest: "0123456789abcdef"}},
	}
}

func observed(cluster string) []federation.Observation {
	created := now.Add(-time.Hour)
	return []federation.Observation{
		{Cluster: cluster, App: "web", Object: serviceRef, Created: created, Ports: []federation.Port{{Name: "http", Port: 80, NodePort: 30061}}},
		{Cluster: cluster, App: "web", Object: replicaSetRef, Created: created, Ready: 2, Desired: 2},
		{
			Cluster: cluster, App: "web", Object: ingressRef, Created: created, ClassName: "gce",
			Annotations: map[string]string{"ingress.kubernetes.io/url-map": "k8s-um-shop-web--aaaa"},
		},
	}
}

// facts changes what is known of clusters; of all where none is named.
func (w *world) facts(change func(f *federation.ClusterFacts), clusters ...string) {
	for name, f := range w.in.Facts.Clusters {
		if len(clusters) == 0 || slices.Contains(clusters, name) {
			change(&f)
			w.in.Facts.Clusters[name] = f
		}
	}
}

// plan puts an object into the plans of clusters, in the place of one of the same
// name; of all clusters where none is named.
func (w *world) plan(text string, clusters ...string) {
	w.t.Helper()
	o := object(w.t, text)
	w.app(func(app *federation.AppPlan) {
		app.Objects = append(slices.DeleteFunc(app.Objects, func(p *federation.Object) bool { return p.Ref == o.Ref }), o)
	}, clusters...)
}

// without takes an object out of the plans.
func (w *world) without(ref federation.ObjectRef, clusters ...string) {
	w.app(func(app *federation.AppPlan) {
		app.Objects = slices.DeleteFunc(app.Objects, func(p *federation.Object) bool { return p.Ref == ref })
	}, clusters...)
}

func (w *world) app(change func(app *federation.AppPlan), clusters ...string) {
	for i, p := range w.in.Plan.Clusters {
		if len(clusters) == 0 || slices.Contains(clusters, p.Cluster) {
			change(&w.in.Plan.Clusters[i].Apps[0])
		}
	}
}

// unobserve takes away what is seen of an object.
func (w *world) unobserve(ref federation.ObjectRef, clusters ...string) {
	for name, observations := range w.in.Observations {
		if len(clusters) == 0 || slices.Contains(clusters, name) {
			w.in.Observations[name] = slices.DeleteFunc(observations, func(o federation.Observation) bool { return o.Object == ref })
		}
	}
}

func (w *world) observe(change func(o *federation.Observation), ref federation.ObjectRef, clusters ...string) {
	for name, observations := range w.in.Observations {
		for i := range observations {
			if observations[i].Object == ref && (len(clusters) == 0 || slices.Contains(clusters, name)) {
				change(&observations[i])
			}
		}
	}
}

// after diagnoses a world in which all is well, the world as it is, and that again
// when it has been so for a while.
func (w *world) after(lasted time.Duration) []federation.Finding {
	var d diagnose.Diagnoser
	w.look(&d, newWorld(w.t).in, -lasted)
	if lasted > 0 {
		w.look(&d, w.in, -lasted)
	}
	return w.look(&d, w.in, 0)
}

// look diagnoses at a time.
func (w *world) look(d *diagnose.Diagnoser, in diagnose.Input, at time.Duration) []federation.Finding {
	in.Now = now.Add(at)
	findings := d.Diagnose(in)
	for _, f := range findings {
		if !slices.Contains(federation.FindingSeverities(f.ID), f.Severity) {
			w.t.Errorf("%s %s: the catalogue of findings has it as %v", f.Severity, f.ID, federation.FindingSeverities(f.ID))
		}
	}
	return findings
}
