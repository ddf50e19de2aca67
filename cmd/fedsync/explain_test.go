package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

var (
	nginxService = federation.ObjectRef{Kind: "Service", Namespace: "web", Name: "nginx"}
	nginxPods    = federation.ObjectRef{Group: "apps", Kind: "ReplicaSet", Namespace: "web", Name: "nginx"}
	legacy       = federation.ObjectRef{Kind: "Service", Namespace: "default", Name: "legacy"}
)

// decided returns a plan for two clusters with every kind of decision.
func decided() federation.Plan {
	return federation.Plan{
		Revision: federation.Revision{Ref: "main", SHA: "1a2b3c4d5e6f"},
		Clusters: []federation.ClusterPlan{
			{Cluster: "asia", Apps: []federation.AppPlan{{
				App:      "nginx",
				Withheld: []federation.Withheld{{Object: nginxService, File: "apps/nginx/service.yaml", Reason: "nodePort 30036 held by Service/default/legacy"}},
			}}},
			{Cluster: "europe", Apps: []federation.AppPlan{{
				App:      "nginx",
				Objects:  []*federation.Object{{Ref: nginxService}},
				Withheld: []federation.Withheld{{Object: nginxPods, Reason: "the replicas of 1 cluster are not known", Waits: []string{"asia"}}},
			}}},
		},
		Ports: []federation.PortDecision{
			{
				App: "nginx", Service: nginxService, File: "apps/nginx/service.yaml", Protocol: "TCP", Port: 80, NodePort: 30036,
				Basis: federation.PortPinned, Reason: "Git says it",
				Clashes: []federation.PortClash{{Cluster: "asia", Holder: legacy}},
				Moves:   []federation.PortMove{{Cluster: "europe", From: 30040}},
			},
			{
				App: "nginx", Service: nginxService, File: "apps/nginx/service.yaml", Protocol: "UDP", Port: 53,
				Basis: federation.PortWaiting, Reason: "asia has not been seen", Waits: []string{"asia"},
			},
		},
		Replicas: []federation.ReplicasDecision{{
			App: "nginx", Object: nginxPods, File: "apps/nginx/replicaset.yaml", Total: 26, Shortfall: 2, Reason: "asia has room for 10",
			Shares: []federation.ReplicasShare{
				{Cluster: "asia", Share: 10, Overflow: 3, Replicas: 13, Live: 17, Basis: federation.ShareByCapacity},
				{Cluster: "europe", Share: 14, Replicas: 14, Live: -1, Basis: federation.ShareByMax},
			},
		}},
		Ingresses: []federation.IngressDecision{{
			App: "nginx", Ingress: federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "web", Name: "nginx"}, File: "apps/nginx/ingress.yaml",
			Clusters: []federation.IngressClass{
				{Cluster: "asia", Git: "gce", Basis: federation.ClassUnknown},
				{Cluster: "europe", Class: federation.ClassGlobal, Basis: federation.ClassOurs},
			},
		}},
	}
}

func TestExplanationSaysOfEachDecisionWhy(t *testing.T) {
	plan := decided()
	for _, c := range []struct {
		name, cluster string
		plans         []federation.ClusterPlan
		want          string
	}{
		{"all clusters", "", plan.Clusters, `main@1a2b3c4

Service/web/nginx  apps/nginx/service.yaml
  80/TCP  node port 30036, pinned: Git says it
      withheld in asia: held by Service/default/legacy
      moves in europe: from 30040
  53/UDP  no node port, waiting: asia has not been seen
      waits for asia

apps/ReplicaSet/web/nginx  apps/nginx/replicaset.yaml
  26 in Git, 2 could not be placed: asia has room for 10
  CLUSTER   REPLICAS   SHARE   OVERFLOW   LIVE   BECAUSE
  asia      13         10      3          17     it has room for no more
  europe    14         14      0          -      its maxReplicas

networking.k8s.io/Ingress/web/nginx  apps/nginx/ingress.yaml
  CLUSTER   CLASS IN GIT   CLASS            BECAUSE
  asia      gce            unchanged        it is not known whether Google's controller serves it there
  europe    none           fedsync-global   fedsync maintains its load balancer, and no controller there may create another
`},
		{"one cluster", "europe", plan.Clusters[1:], `main@1a2b3c4

Service/web/nginx  apps/nginx/service.yaml
  80/TCP  node port 30036, pinned: Git says it
      moves in europe: from 30040
  53/UDP  no node port, waiting: asia has not been seen
      waits for asia

apps/ReplicaSet/web/nginx  apps/nginx/replicaset.yaml
  26 in Git, 2 could not be placed: asia has room for 10
  CLUSTER   REPLICAS   SHARE   OVERFLOW   LIVE   BECAUSE
  europe    14         14      0          -      its maxReplicas

networking.k8s.io/Ingress/web/nginx  apps/nginx/ingress.yaml
  CLUSTER   CLASS IN GIT   CLASS            BECAUSE
  europe    none           fedsync-global   fedsync maintains its load balancer, and no controller there may create another
`},
		{"a cluster that has none of it", "africa", nil, "main@1a2b3c4\nno decisions on node ports or replica counts were needed\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if err := newExplanation(plan, c.plans, c.cluster).print(&b, "text"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
		})
	}
	if got := decided(); cmp.Diff(plan, got) != "" {
		t.Error("explaining one cluster changed the plan")
	}
}

func TestExplanationInJSONHasWhatWasDecided(t *testing.T) {
	var b strings.Builder
	plan := decided()
	if err := newExplanation(plan, plan.Clusters[:1], "asia").print(&b, "json"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"nodePort": 30036`, `"basis": "pinned"`, `"holder": {`, `"name": "legacy"`,
		`"total": 26`, `"shortfall": 2`, `"overflow": 3`, `"basis": "capacity"`, `"basis": "unknown"`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s is missing in:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "europe") {
		t.Errorf("a decision on another cluster is in:\n%s", b.String())
	}
}

func TestWhatIsWithheldIsNamedOnce(t *testing.T) {
	plan := decided()
	left := withheld(plan.Clusters)
	want := []federation.Finding{
		{
			ID: "withheld", Severity: federation.SeverityError, Cluster: "asia", App: "nginx", Object: nginxService,
			File: "apps/nginx/service.yaml", Message: untrusted.New("nodePort 30036 held by Service/default/legacy"),
		},
		{
			ID: "withheld", Severity: federation.SeverityWarning, Cluster: "europe", App: "nginx", Object: nginxPods,
			Message: untrusted.New("the replicas of 1 cluster are not known"), Remedy: untrusted.New("it waits for the facts of asia"),
		},
	}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Fatalf("withheld (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		name    string
		finding federation.Finding
		want    int
	}{
		{"a finding that says the same", federation.Finding{Cluster: "asia", Object: nginxService, Message: untrusted.New("withheld: " + want[0].Message.String())}, 1},
		{"one for all clusters", federation.Finding{Object: nginxService, Message: want[0].Message}, 1},
		{"one about another cluster", federation.Finding{Cluster: "europe", Object: nginxService, Message: want[0].Message}, 2},
		{"one about something else", federation.Finding{Cluster: "asia", Object: nginxService, Message: untrusted.New("has no endpoints")}, 2},
	} {
		if got := unreported(left, []federation.Finding{c.finding}); len(got) != c.want {
			t.Errorf("%s: %d more are named, want %d: %v", c.name, len(got), c.want, got)
		}
	}
}
