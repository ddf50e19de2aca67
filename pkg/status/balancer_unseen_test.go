package status

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// What is known of Compute Engine may be of the newest revision, and of a plan that was
// made before the clusters' Ingresses were known: nothing was built then.
func TestAnIngressWithoutAKnownLoadBalancerIsWaitedFor(t *testing.T) {
	ref := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "nginx"}
	for basis, want := range map[federation.ClassBasis]int{federation.ClassOurs: 1, federation.ClassStays: 1, federation.ClassUnknown: 0} {
		s := newSummary(Input{
			Federation: &federation.Federation{GCP: &federation.GCP{LoadBalancer: federation.LoadBalancerNodePorts}},
			Cloud:      &Cloud{Project: "p"},
			Plan: &federation.Plan{Ingresses: []federation.IngressDecision{{
				App: "nginx", Ingress: ref, Clusters: []federation.IngressClass{{Cluster: "c1", Basis: basis}},
			}}},
		})
		s.balancers()
		s.balancerFindings()
		if len(s.waits) != want {
			t.Errorf("class %s: waits for %+v, want %d", basis, s.waits, want)
		}
		s = newSummary(s.Input)
		s.Balancers = []federation.Balancer{{Ingress: ref, Complete: true}}
		s.balancers()
		s.balancerFindings()
		if len(s.waits) != 0 {
			t.Errorf("class %s, with a load balancer: waits for %+v", basis, s.waits)
		}
	}
}
