package gcp

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestBuildMakesAWholeLoadBalancer(t *testing.T) {
	s := newScene(3)
	want := s.settle(t)
	count := map[Kind]int{}
	for id := range want.Resources {
		count[id.Kind]++
	}
	expect := map[Kind]int{
		KindAddress: 1, KindFirewall: 1, KindHealthCheck: 1, KindGroup: 6, KindService: 1,
		KindURLMap: 1, KindHTTPProxy: 1, KindRule: 1,
	}
	if !reflect.DeepEqual(count, expect) {
		t.Errorf("wanted %v, want %v", count, expect)
	}
	if len(want.Findings) > 0 {
		t.Errorf("findings:\n%s", findings(want))
	}
	check := kindOf(want, KindHealthCheck)[0].Spec.(HealthCheck)
	if check != (HealthCheck{Protocol: "HTTP", Path: "/healthz", Interval: 7, Timeout: 2, Healthy: 1, Unhealthy: 3}) {
		t.Errorf("health check = %+v, not that of the readiness probe", check)
	}
	rule := kindOf(want, KindFirewall)[0].Spec.(Firewall)
	if expect := (Firewall{
		Network: sceneNetwork, Ranges: []string{"130.211.0.0/22", "35.191.0.0/16"}, Ports: []int32{30080},
		Tags: []string{"gke-c1-node", "gke-c2-node", "gke-c3-node"},
	}); !reflect.DeepEqual(rule, expect) {
		t.Errorf("firewall rule = %+v, want %+v", rule, expect)
	}
	for _, r := range kindOf(want, KindGroup) {
		for _, e := range r.Spec.(Group).Endpoints {
			if e.Port != 30080 || !strings.HasPrefix(e.Instance, "gke-"+r.Mark.Cluster) {
				t.Errorf("%s has endpoint %+v", r.ID, e)
			}
		}
	}
	_, service := serviceOf(t, want)
	total := 0.0
	for _, b := range service.Backends {
		total += b.MaxRate
		if b.Capacity != 1 {
			t.Errorf("backend %s has capacity %v", b.Group, b.Capacity)
		}
	}
	if total != 3*3*defaultRate {
		t.Errorf("rates add up to %v, want that of 9 replicas", total)
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	s := newScene(4)
	s.settle(t)
	first := s.build()
	for range 5 {
		if again := s.build(); !reflect.DeepEqual(first, again) {
			t.Fatalf("equal input gives different output:\n%+v\n%+v", first, again)
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
		s := newScene(1)
		s.edit("Ingress/nginx", "kubernetes.io/ingress.class: gce", class)
		if built := len(s.build().Balancers) > 0; built != ours {
			t.Errorf("with %s built = %v, want %v", class, built, ours)
		}
	}
	s := newScene(1)
	s.edit("Ingress/nginx", "kubernetes.io/ingress.class: gce", "")
	s.edit("Ingress/nginx", "spec:", "spec:\n  ingressClassName: fedsync-global")
	if len(s.build().Balancers) == 0 {
		t.Error("the class that the schedule writes is not built for")
	}
}

func TestBuildStandsBackInOtherModes(t *testing.T) {
	s := newScene(2)
	s.settle(t)
	before := len(s.cloud.resources)
	s.federation.GCP.LoadBalancer = federation.LoadBalancerNone
	want := s.build()
	if len(want.Resources) > 0 || len(want.Held) != before {
		t.Errorf("%d wanted and %d held of %d", len(want.Resources), len(want.Held), before)
	}
	if !strings.Contains(findings(want), "left as it is because spec.gcp.loadBalancer is None") {
		t.Errorf("findings:\n%s", findings(want))
	}
	if planned := Plan(want, s.look()); len(planned.Actions) > 0 {
		t.Errorf("actions: %v", planned.Actions)
	}
}
