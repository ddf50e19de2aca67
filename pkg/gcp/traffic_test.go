package gcp

import (
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

// trafficOf is what Traffic says of the first load balancer.
func trafficOf(s *scene) federation.Balancer {
	look := s.look()
	want := Build(s.input(), look)
	all := Traffic(s.input(), want, look, Plan(want, look))
	if len(all) == 0 {
		return federation.Balancer{}
	}
	return all[0]
}

func TestTrafficOfAWholeLoadBalancer(t *testing.T) {
	s := newScene(2)
	if got := trafficOf(s); got.Complete || got.Address != "" || got.Clusters[0].State != federation.TrafficWaiting {
		t.Errorf("before it is made: %+v", got)
	}
	s.settle(t)
	got := trafficOf(s)
	if !got.Complete || got.Address == "" || got.AddressName == "" || !got.Refused.IsZero() || got.App != "nginx" || got.Ingress != sceneIngress {
		t.Errorf("balancer: %+v", got)
	}
	want := []string{"address", "health check", "endpoint group", "backend service", "URL map", "HTTP proxy", "forwarding rule"}
	var kinds []string
	for _, name := range got.Resources {
		i := strings.LastIndex(name, " ")
		kinds = append(kinds, name[:i])
	}
	if kinds = slices.Compact(kinds); !slices.Equal(kinds, want) {
		t.Errorf("resources: %v, want %v", kinds, want)
	}
	for _, c := range got.Clusters {
		if c.State != federation.TrafficServing || c.Endpoints != 3 || c.Healthy != 3 || !c.Reason.IsZero() {
			t.Errorf("cluster: %+v", c)
		}
	}
}

func TestTrafficStates(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*scene)
		state  federation.TrafficState
		reason string
	}{
		"unhealthy": {func(s *scene) { s.unhealthy["c1"] = true; s.probe() }, federation.TrafficUnhealthy, "all probes of default/nginx:80 fail"},
		"no rule lets the probes in": {func(s *scene) {
			s.unhealthy["c1"] = true
			s.probe()
			for id := range s.cloud.resources {
				if id.Kind == KindFirewall {
					delete(s.cloud.resources, id)
				}
			}
		}, federation.TrafficUnhealthy, "no firewall rule of fedsync's lets them in at port 30080"},
		"not probed": {func(s *scene) { s.health = nil }, federation.TrafficWaiting, "not probed yet"},
		"nobody can be asked": {func(s *scene) {
			s.partial = func(o *Observed) {
				delete(o.Complete, KindService)
				for id := range o.Resources {
					if id.Kind == KindService {
						delete(o.Resources, id)
					}
				}
			}
		}, federation.TrafficUnknown, "cannot be read"},
		"no node takes traffic": {func(s *scene) {
			for i := range 3 {
				s.node(i, func(n *federation.Node) { n.Excluded = true })
			}
			for range 3 {
				s.pass(leavePace)
				if _, _, err := s.round(); err != nil {
					panic(err)
				}
			}
		}, federation.TrafficNone, "no node can take traffic"},
		"cannot be read, and serves": {func(s *scene) {
			s.change("c1", func(f *federation.ClusterFacts) { f.State = federation.ClusterUnknown })
		}, federation.TrafficServing, "does not let fedsync look"},
		"cannot be read, and nobody knows": {func(s *scene) {
			s.change("c1", func(f *federation.ClusterFacts) { f.State = federation.ClusterUnknown })
			s.health = nil
		}, federation.TrafficUnknown, "does not let fedsync look"},
		"refused and drained": {func(s *scene) {
			s.cloud.resources = map[ID]Resource{}
			s.annotate("networking.gke.io/managed-certificates", "x")
			s.cluster("c1").Drain = true
		}, federation.TrafficDrained, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(2)
			s.settle(t)
			test.change(s)
			got := s.state("c1")
			if got.State != test.state || !strings.Contains(got.Reason.String(), test.reason) {
				t.Errorf("%+v, want %s with %q", got, test.state, test.reason)
			}
			if other := s.state("c2").State; other != federation.TrafficServing && name != "nobody can be asked" &&
				!strings.Contains(name, "refused") && s.health != nil && test.reason != "not probed yet" {
				t.Errorf("the other cluster is %s", other)
			}
		})
	}
}

func TestTrafficTakesTheWorstPort(t *testing.T) {
	s := newScene(2)
	s.objects["Service/api"] = strings.NewReplacer("name: nginx,", "name: api,", "30080", "30081").Replace(serviceYAML)
	s.edit("Ingress/nginx", "spec:", "spec:\n  rules: [{http: {paths: [{path: /api, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}}]")
	want := s.settle(t)
	api := want.Balancers[0].Services["default/api:80"]
	for group, health := range s.health[api] {
		if s.cloud.resources[group].Mark.Cluster == "c1" {
			s.health[api][group] = GroupHealth{At: health.At, Unhealthy: health.Healthy}
		}
	}
	if got := s.state("c1"); got.State != federation.TrafficUnhealthy || got.Endpoints != 6 || got.Healthy != 3 {
		t.Errorf("c1: %+v", got)
	}
	if got := s.state("c2"); got.State != federation.TrafficServing {
		t.Errorf("c2: %+v", got)
	}
}
