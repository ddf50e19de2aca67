package balancer_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

func TestBuildMakesAWholeLoadBalancer(t *testing.T) {
	s := gcptest.NewScene(3)
	want := s.Settle(t)
	count := map[gcp.Kind]int{}
	for id := range want.Resources {
		count[id.Kind]++
	}
	expect := map[gcp.Kind]int{
		gcp.KindAddress: 1, gcp.KindFirewall: 1, gcp.KindHealthCheck: 1, gcp.KindGroup: 6, gcp.KindService: 1,
		gcp.KindURLMap: 1, gcp.KindHTTPProxy: 1, gcp.KindRule: 1,
	}
	if !reflect.DeepEqual(count, expect) {
		t.Errorf("wanted %v, want %v", count, expect)
	}
	if len(want.Findings) > 0 {
		t.Errorf("findings:\n%s", gcptest.Findings(want))
	}
	check := gcptest.KindOf(want, gcp.KindHealthCheck)[0].Spec.(gcp.HealthCheck)
	if check != (gcp.HealthCheck{Protocol: "HTTP", Path: "/healthz", Interval: 7, Timeout: 2, Healthy: 1, Unhealthy: 3}) {
		t.Errorf("health check = %+v, not that of the readiness probe", check)
	}
	rule := gcptest.KindOf(want, gcp.KindFirewall)[0].Spec.(gcp.Firewall)
	if expect := (gcp.Firewall{
		Network: gcptest.SceneNetwork, Ranges: []string{"130.211.0.0/22", "35.191.0.0/16"}, Ports: []int32{30080},
		Tags: []string{"gke-c1-node", "gke-c2-node", "gke-c3-node"},
	}); !reflect.DeepEqual(rule, expect) {
		t.Errorf("firewall rule = %+v, want %+v", rule, expect)
	}
	for _, r := range gcptest.KindOf(want, gcp.KindGroup) {
		for _, e := range r.Spec.(gcp.Group).Endpoints {
			if e.Port != 30080 || !strings.HasPrefix(e.Instance, "gke-"+r.Mark.Cluster) {
				t.Errorf("%s has endpoint %+v", r.ID, e)
			}
		}
	}
	_, service := gcptest.ServiceOf(t, want)
	total := 0.0
	for _, b := range service.Backends {
		total += b.MaxRate
		if b.Capacity != 1 {
			t.Errorf("backend %s has capacity %v", b.Group, b.Capacity)
		}
	}
	if total != 3*3*balancer.DefaultRate {
		t.Errorf("rates add up to %v, want that of 9 replicas", total)
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	s := gcptest.NewScene(4)
	s.Settle(t)
	first := s.Build()
	for range 5 {
		if again := s.Build(); !reflect.DeepEqual(first, again) {
			t.Fatalf("equal input, different output:\n%+v\n%+v", first, again)
		}
	}
}

func TestBuildIgnoresOtherClasses(t *testing.T) {
	for class, ours := range map[string]bool{
		"kubernetes.io/ingress.class: nginx":             false,
		"kubernetes.io/ingress.class: gce-multi-cluster": false,
		"kubernetes.io/ingress.class: gce":               true,
		"kubernetes.io/ingress.class: fedsync":           true,
		"example.com/none: none":                         true,
	} {
		s := gcptest.NewScene(1)
		s.Edit("Ingress/nginx", "kubernetes.io/ingress.class: gce", class)
		if built := len(s.Build().Balancers) > 0; built != ours {
			t.Errorf("with %s built = %v, want %v", class, built, ours)
		}
	}
	s := gcptest.NewScene(1)
	s.Edit("Ingress/nginx", "kubernetes.io/ingress.class: gce", "")
	s.Edit("Ingress/nginx", "spec:", "spec:\n  ingressClassName: fedsync-global")
	if len(s.Build().Balancers) == 0 {
		t.Error("the class that the schedule writes is not built for")
	}
}

func TestBuildHoldsEverythingInOtherModes(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Settle(t)
	before := len(s.Cloud.Resources)
	s.Federation.GCP.LoadBalancer = federation.LoadBalancerNone
	want := s.Build()
	if len(want.Resources) > 0 || len(want.Held) != before {
		t.Errorf("%d wanted and %d held of %d", len(want.Resources), len(want.Held), before)
	}
	if !strings.Contains(gcptest.Findings(want), "left unchanged because spec.gcp.loadBalancer is None") {
		t.Errorf("findings:\n%s", gcptest.Findings(want))
	}
	if planned := planner.Plan(want, s.Observe()); len(planned.Actions) > 0 {
		t.Errorf("actions: %v", planned.Actions)
	}
}

func TestNamespaceDefaultsToDefault(t *testing.T) {
	s := gcptest.NewScene(1)
	for key, text := range s.Objects {
		s.Objects[key] = strings.Replace(text, ", namespace: default", "", 1)
	}
	want := s.Settle(t)
	if _, service := gcptest.ServiceOf(t, want); len(service.Backends) != 2 || want.Balancers[0].Ingress != gcptest.SceneIngress {
		t.Errorf("service %+v, balancers %+v", service, want.Balancers)
	}
}
