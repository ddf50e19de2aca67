package status

import (
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestAReportHasTheLastActionsAndDoesNotChangeItsInput(t *testing.T) {
	known := &Cloud{Project: "p", Error: untrusted.New("two\nlines")}
	for i := range keptActions + 5 {
		known.Done = append(known.Done, CloudAction{Verb: "create", Resource: fmt.Sprintf("address a%d", i), Outcome: CloudDone})
	}
	r := Summarise(Input{Now: firstSeen, Cloud: known})
	if got := len(r.Cloud.Done); got != keptActions || r.Cloud.Done[0].Resource != "address a0" {
		t.Errorf("%d actions from %q, want the %d newest from address a0", got, r.Cloud.Done[0].Resource, keptActions)
	}
	if r.Cloud.Error.String() != "two lines" || r.Cloud.Pending == nil {
		t.Errorf("error %q, pending %#v, want one line and an empty list", r.Cloud.Error, r.Cloud.Pending)
	}
	if len(known.Done) != keptActions+5 {
		t.Error("the input was changed")
	}
	if r := Summarise(Input{Now: firstSeen}); r.Cloud != nil || r.Balancers == nil {
		t.Errorf("without Compute Engine: cloud %v, balancers %#v, want nil and an empty list", r.Cloud, r.Balancers)
	}
}

func TestBalancersAreJudgedOnlyIfComputeEngineIsUsed(t *testing.T) {
	ingress := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "nginx"}
	in := step{Clusters: []clusterAsKnown{{Name: "c1"}}}.input(t, nil)
	in.Federation.GCP = &federation.GCP{LoadBalancer: federation.LoadBalancerNodePorts}
	in.Balancers = []federation.Balancer{{Ingress: ingress, Clusters: []federation.BalancerCluster{{Cluster: "c1", State: federation.TrafficUnhealthy}}}}
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   State
	}{
		{"Compute Engine is not used", func(*Input) {}, Success},
		{"Compute Engine is used", func(in *Input) { in.Cloud = &Cloud{Revision: in.Snapshot.Revision} }, Pending},
		{"another way to load balancers was chosen", func(in *Input) {
			in.Cloud, in.Balancers, in.Federation.GCP = &Cloud{}, nil, &federation.GCP{LoadBalancer: federation.LoadBalancerNone}
		}, Success},
	} {
		in := in
		c.change(&in)
		if got := Summarise(in); got.State != c.want {
			t.Errorf("%s: %s, %q, want %s", c.name, got.State, got.Description, c.want)
		}
	}
}

// If Compute Engine was compared with the plan of a start, before the clusters were read,
// the revision is known but no load balancer is.
func TestALoadBalancerThatThePlanWantsIsAwaited(t *testing.T) {
	ingress := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "nginx"}
	serving := func(names ...string) []federation.Balancer {
		b := federation.Balancer{Ingress: ingress, Complete: true}
		for _, name := range names {
			b.Clusters = append(b.Clusters, federation.BalancerCluster{Cluster: name, State: federation.TrafficServing})
		}
		return []federation.Balancer{b}
	}
	ours := federation.ClassOurs
	for _, c := range []struct {
		name   string
		known  []federation.Balancer
		second federation.ClassBasis
		want   State
	}{
		{"nothing is known of it", nil, ours, Pending},
		{"of one cluster nothing is known", serving("c1"), ours, Pending},
		{"all take traffic", serving("c1", "c2"), ours, Success},
		{"a cluster that was not read gets no Ingress yet", serving("c1"), federation.ClassUnknown, Success},
	} {
		in := step{Clusters: []clusterAsKnown{{Name: "c1"}, {Name: "c2"}}}.input(t, nil)
		in.Federation.GCP = &federation.GCP{LoadBalancer: federation.LoadBalancerNodePorts}
		in.Cloud, in.Balancers = &Cloud{Revision: in.Snapshot.Revision}, c.known
		in.Plan = &federation.Plan{Revision: in.Snapshot.Revision, Ingresses: []federation.IngressDecision{{
			Ingress:  ingress,
			Clusters: []federation.IngressClass{{Cluster: "c1", Basis: ours}, {Cluster: "c2", Basis: c.second}},
		}}}
		if got := Summarise(in); got.State != c.want {
			t.Errorf("%s: %s, %q, want %s", c.name, got.State, got.Description, c.want)
		}
	}
}

func TestClustersThatServedAreRememberedForOneRevision(t *testing.T) {
	ingress := federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "nginx"}
	report := func(revision string, state federation.TrafficState, previous *Report) Report {
		in := step{Revision: revision, Clusters: []clusterAsKnown{{Name: "c1"}}}.input(t, previous)
		in.Cloud = &Cloud{Revision: in.Snapshot.Revision}
		in.Balancers = []federation.Balancer{{Ingress: ingress, Complete: true, Clusters: []federation.BalancerCluster{{Cluster: "c1", State: state}}}}
		return Summarise(in)
	}
	first := report("a", federation.TrafficServing, nil)
	second := report("a", federation.TrafficNone, &first)
	if diff := gocmp.Diff([]string{"c1"}, second.Balancers[0].Served); diff != "" || second.State != Failure {
		t.Errorf("the same revision: served (-want +got):\n%s, state %s, want failure", diff, second.State)
	}
	if next := report("b", federation.TrafficNone, &second); len(next.Balancers[0].Served) > 0 || next.State != Pending {
		t.Errorf("the next revision: served %v, state %s, want none and pending", next.Balancers[0].Served, next.State)
	}
}
