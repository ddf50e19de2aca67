package diagnose_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/diagnose"
	"github.com/fedsync/fedsync/pkg/federation"
)

// large is a world of 13 clusters with 300 objects each: a hundred Ingresses with
// their Services and workloads. Shared says whether clusters share the objects, as
// they do unless each has an overlay of its own.
func large(tb testing.TB, shared bool) diagnose.Input {
	const clusters, services = 13, 100
	w := newWorld(tb)
	w.in.Federation.Clusters, w.in.Plan = nil, federation.Plan{}
	w.in.Facts.Clusters = map[string]federation.ClusterFacts{}
	var objects []*federation.Object
	for c := range clusters {
		name := fmt.Sprintf("c%02d", c)
		facts := healthy()
		facts.NodePorts, facts.Workloads, facts.Ingresses, facts.Endpoints, facts.Services, facts.Quotas = nil, nil, nil, nil, nil, nil
		var observations []federation.Observation
		if c == 0 || !shared {
			objects = nil
		}
		for i := range services {
			app := fmt.Sprintf("app-%03d", i)
			named := func(text string) string {
				text = strings.ReplaceAll(text, "name: web", "name: "+app)
				return strings.ReplaceAll(text, "app: web", "app: "+app)
			}
			if len(objects) < 3*services {
				objects = append(objects, object(tb, named(ingressYAML)), object(tb, named(serviceYAML)), object(tb, named(replicaSetYAML)))
			}
			port := federation.Port{Name: "http", Port: 80, NodePort: int32(30000 + i)}
			facts.NodePorts = append(facts.NodePorts, federation.NodePort{Protocol: "TCP", Port: port.NodePort, Namespace: "shop", Service: app, ServicePort: 80})
			facts.Endpoints = append(facts.Endpoints, federation.Endpoints{Namespace: "shop", Service: app, Ready: 2})
			facts.Services = append(facts.Services, federation.Service{Namespace: "shop", Name: app, Type: "NodePort", Ports: []federation.Port{port}})
			facts.Ingresses = append(facts.Ingresses, federation.Ingress{Namespace: "shop", Name: app, Ours: true, ClassName: "gce", URLMap: "k8s-um-shop-" + app + "--aaaa"})
			of := func(ref federation.ObjectRef) federation.ObjectRef { ref.Name = app; return ref }
			facts.Workloads = append(facts.Workloads, federation.Workload{Object: of(replicaSetRef), Replicas: 2, Ready: 2, Current: 2})
			for _, ref := range []federation.ObjectRef{serviceRef, replicaSetRef, ingressRef} {
				observations = append(observations, federation.Observation{Cluster: name, App: "web", Object: of(ref), Created: now.Add(-time.Hour)})
			}
		}
		w.in.Federation.Clusters = append(w.in.Federation.Clusters, federation.Cluster{Name: name})
		w.in.Plan.Clusters = append(w.in.Plan.Clusters, federation.ClusterPlan{Cluster: name, Apps: []federation.AppPlan{{App: "web", Objects: objects}}})
		w.in.Facts.Clusters[name] = facts
		w.in.Observations[name] = observations
	}
	for i := range services {
		ref := replicaSetRef
		ref.Name = fmt.Sprintf("app-%03d", i)
		d := federation.ReplicasDecision{App: "web", Object: ref, Total: 26}
		for _, c := range w.in.Federation.Clusters {
			d.Shares = append(d.Shares, federation.ReplicasShare{Cluster: c.Name, Share: 2, Replicas: 2, Live: 2})
		}
		w.in.Plan.Replicas = append(w.in.Plan.Replicas, d)
		ref = serviceRef
		ref.Name = fmt.Sprintf("app-%03d", i)
		w.in.Plan.Ports = append(w.in.Plan.Ports, federation.PortDecision{App: "web", Service: ref, Protocol: "TCP", Port: 80, NodePort: int32(30000 + i)})
	}
	return w.in
}

// BenchmarkDiagnose is one report of a federation in which all is well, and of one
// in which no Service has an endpoint.
func BenchmarkDiagnose(b *testing.B) {
	for name, in := range map[string]diagnose.Input{"shared": large(b, true), "overlays": large(b, false), "ill": ill(large(b, true))} {
		b.Run(name, func(b *testing.B) {
			var d diagnose.Diagnoser
			if found := d.Diagnose(in); len(found) > 0 && name != "ill" {
				b.Fatalf("found %v, want none", found)
			}
			b.ReportAllocs()
			for b.Loop() {
				d.Diagnose(in)
			}
		})
	}
}

func ill(in diagnose.Input) diagnose.Input {
	for name, f := range in.Facts.Clusters {
		f.Endpoints = nil
		in.Facts.Clusters[name] = f
	}
	return in
}
