package traffic_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
	"github.com/fedsync/fedsync/pkg/gcp/traffic"
)

// trafficOf returns the state of the first load balancer.
func trafficOf(s *gcptest.Scene) federation.Balancer {
	look := s.Observe()
	want := balancer.Build(s.Input(), look)
	all := traffic.Of(s.Input(), want, look, planner.Plan(want, look))
	if len(all) == 0 {
		return federation.Balancer{}
	}
	return all[0]
}

func TestTrafficOfAWholeLoadBalancer(t *testing.T) {
	s := gcptest.NewScene(2)
	if got := trafficOf(s); got.Complete || got.Address != "" || got.Clusters[0].State != federation.TrafficWaiting {
		t.Errorf("before it is made: %+v", got)
	}
	s.Settle(t)
	got := trafficOf(s)
	if !got.Complete || got.Address == "" || got.AddressName == "" || !got.Refused.IsZero() || got.App != "nginx" || got.Ingress != gcptest.SceneIngress {
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
		change func(*gcptest.Scene)
		state  federation.TrafficState
		reason string
	}{
		"unhealthy": {func(s *gcptest.Scene) { s.Unhealthy["c1"] = true; s.Probe() }, federation.TrafficUnhealthy, "all probes of default/nginx:80 fail"},
		"no rule lets the probes in": {func(s *gcptest.Scene) {
			s.Unhealthy["c1"] = true
			s.Probe()
			for id := range s.Cloud.Resources {
				if id.Kind == gcp.KindFirewall {
					delete(s.Cloud.Resources, id)
				}
			}
		}, federation.TrafficUnhealthy, "no firewall rule made by fedsync admits them at port 30080"},
		"not probed": {func(s *gcptest.Scene) { s.Health = nil }, federation.TrafficWaiting, "not probed yet"},
		"nothing can be read": {func(s *gcptest.Scene) {
			s.Partial = func(o *gcp.Observed) {
				delete(o.Complete, gcp.KindService)
				for id := range o.Resources {
					if id.Kind == gcp.KindService {
						delete(o.Resources, id)
					}
				}
			}
		}, federation.TrafficUnknown, "cannot be read"},
		"no node takes traffic": {func(s *gcptest.Scene) {
			for i := range 3 {
				s.Node(i, func(n *federation.Node) { n.Excluded = true })
			}
			for range 3 {
				s.Pass(balancer.LeavePace)
				if _, _, err := s.Round(); err != nil {
					panic(err)
				}
			}
		}, federation.TrafficNone, "no node can take traffic"},
		"cannot be read, and serves": {func(s *gcptest.Scene) {
			s.Change("c1", func(f *federation.ClusterFacts) { f.State = federation.ClusterUnknown })
		}, federation.TrafficServing, "fedsync cannot read the cluster"},
		"cannot be read, and its health is unknown": {func(s *gcptest.Scene) {
			s.Change("c1", func(f *federation.ClusterFacts) { f.State = federation.ClusterUnknown })
			s.Health = nil
		}, federation.TrafficUnknown, "fedsync cannot read the cluster"},
		"refused and drained": {func(s *gcptest.Scene) {
			s.Cloud.Resources = map[gcp.ID]gcp.Resource{}
			s.Annotate("networking.gke.io/managed-certificates", "x")
			s.Cluster("c1").Drain = true
		}, federation.TrafficDrained, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			s.Settle(t)
			test.change(s)
			got := s.State("c1")
			if got.State != test.state || !strings.Contains(got.Reason.String(), test.reason) {
				t.Errorf("%+v, want %s with %q", got, test.state, test.reason)
			}
			if other := s.State("c2").State; other != federation.TrafficServing && name != "nothing can be read" &&
				!strings.Contains(name, "refused") && s.Health != nil && test.reason != "not probed yet" {
				t.Errorf("the other cluster is %s", other)
			}
		})
	}
}

func TestTrafficTakesTheWorstPort(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Objects["Service/api"] = strings.NewReplacer("name: nginx,", "name: api,", "30080", "30081").Replace(gcptest.ServiceYAML)
	s.Edit("Ingress/nginx", "spec:", "spec:\n  rules: [{http: {paths: [{path: /api, pathType: Prefix, backend: {service: {name: api, port: {number: 80}}}}]}}]")
	want := s.Settle(t)
	api := want.Balancers[0].Services["default/api:80"]
	for group, health := range s.Health[api] {
		if s.Cloud.Resources[group].Mark.Cluster == "c1" {
			s.Health[api][group] = gcp.GroupHealth{At: health.At, Unhealthy: health.Healthy}
		}
	}
	if got := s.State("c1"); got.State != federation.TrafficUnhealthy || got.Endpoints != 6 || got.Healthy != 3 {
		t.Errorf("c1: %+v", got)
	}
	if got := s.State("c2"); got.State != federation.TrafficServing {
		t.Errorf("c2: %+v", got)
	}
}
