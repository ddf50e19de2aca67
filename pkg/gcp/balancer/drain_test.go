package balancer_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/balancer"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

func TestDrainTakesTrafficAwayInSteps(t *testing.T) {
	s := gcptest.NewScene(3)
	s.Settle(t)
	if got := s.State("c2"); got.State != federation.TrafficServing || got.Endpoints != 3 || got.Healthy != 3 {
		t.Fatalf("before: %+v", got)
	}
	s.Cluster("c2").Drain = true
	want := s.Settle(t)
	for _, b := range gcptest.BackendsOf(t, want, "c2") {
		if b.Capacity != 0 {
			t.Errorf("%s has capacity %v", b.Group, b.Capacity)
		}
	}
	if got := s.State("c2"); got.State != federation.TrafficDraining {
		t.Errorf("at once: %+v", got)
	}
	s.Pass((balancer.DrainSeconds + balancer.DrainMargin - 1) * time.Second)
	if want = s.Settle(t); len(gcptest.BackendsOf(t, want, "c2")) == 0 {
		t.Error("detached before connections have ended")
	}
	s.Pass(time.Second)
	want = s.Settle(t)
	if got := gcptest.EndpointsOf(want, "c2"); len(got) > 0 || len(gcptest.KindOf(want, gcp.KindGroup)) != 4 {
		t.Errorf("left over: %v, %d groups", got, len(gcptest.KindOf(want, gcp.KindGroup)))
	}
	if got := s.State("c2"); got.State != federation.TrafficDrained {
		t.Errorf("afterwards: %+v", got)
	}
	rule := gcptest.KindOf(s.Settle(t), gcp.KindFirewall)[0].Spec.(gcp.Firewall)
	if slices.Contains(rule.Tags, "gke-c2-node") {
		t.Errorf("tags %v still let the drained cluster in", rule.Tags)
	}
	s.Cluster("c2").Drain = false
	want = s.Settle(t)
	if got := gcptest.BackendsOf(t, want, "c2"); len(got) != 2 || got[0].Capacity != 1 {
		t.Errorf("after its return: %+v", got)
	}
}

func TestDrainThatEndsEarlyGivesCapacityBack(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Settle(t)
	s.Cluster("c1").Drain = true
	s.Settle(t)
	s.Cluster("c1").Drain = false
	want := s.Settle(t)
	for _, b := range gcptest.BackendsOf(t, want, "c1") {
		if b.Capacity != 1 {
			t.Errorf("%s has capacity %v", b.Group, b.Capacity)
		}
	}
	if id, _ := gcptest.ServiceOf(t, want); len(want.Resources[id].Mark.Draining) > 0 {
		t.Error("the mark records a drain")
	}
}

func TestClusterThatCannotBeReadIsUndrained(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Settle(t)
	s.Cluster("c1").Drain = true
	s.Settle(t)
	s.Change("c1", func(f *federation.ClusterFacts) { f.State = federation.ClusterUnknown })
	s.Cluster("c1").Drain = false
	for _, b := range gcptest.BackendsOf(t, s.Settle(t), "c1") {
		if b.Capacity != 1 {
			t.Errorf("%s has capacity %v", b.Group, b.Capacity)
		}
	}
}

func TestRestartDoesNotChangeADrain(t *testing.T) {
	s := gcptest.NewScene(3)
	s.Settle(t)
	s.Cluster("c2").Drain = true
	s.Settle(t)
	s.Pass(time.Hour)
	health := s.Health
	s.Health = nil // no health has been read since the start
	look := s.Observe()
	want := balancer.Build(s.Input(), look)
	if planned := planner.Plan(want, look); len(planned.Actions) > 0 || len(want.Findings) > 0 {
		t.Errorf("actions %v, findings:\n%s", planned.Actions, gcptest.Findings(want))
	}
	s.Cluster("c3").Drain = true // does not begin either
	look = s.Observe()
	if planned := planner.Plan(balancer.Build(s.Input(), look), look); len(planned.Actions) > 0 {
		t.Errorf("actions: %v", planned.Actions)
	}
	s.Health = health
	s.Settle(t)
	if got := s.State("c2"); got.State != federation.TrafficDrained {
		t.Errorf("in the end: %+v", got)
	}
}

func TestManyClustersDrainOneAfterAnother(t *testing.T) {
	s := gcptest.NewScene(0)
	for i := range 25 {
		s.Join(strings.Repeat("a-long-name-", 4) + string(rune('a'+i)))
	}
	for i := range s.Federation.Clusters {
		s.Change(s.Federation.Clusters[i].Name, func(f *federation.ClusterFacts) { f.Nodes = f.Nodes[:1] })
	}
	s.Settle(t)
	for i := range 24 {
		s.Federation.Clusters[i].Drain = true
	}
	for range 3 {
		want := s.Settle(t)
		id, _ := gcptest.ServiceOf(t, want)
		if m := want.Resources[id].Mark; gcp.ReadMark(m.Text()).Service == "" {
			t.Fatalf("a mark of %d bytes cannot be read back", len(m.Text()))
		}
		s.Pass(time.Minute)
	}
	s.Settle(t)
	if want := s.Settle(t); len(gcptest.KindOf(want, gcp.KindGroup)) != 1 {
		t.Errorf("%d groups are left", len(gcptest.KindOf(want, gcp.KindGroup)))
	}
}

func TestLastHealthyClusterIsNotDrained(t *testing.T) {
	for name, hinder := range map[string]func(*gcptest.Scene){
		"the other is unhealthy": func(s *gcptest.Scene) { s.Unhealthy["c2"] = true; s.Cluster("c1").Drain = true },
		"all are drained":        func(s *gcptest.Scene) { s.Cluster("c1").Drain, s.Cluster("c2").Drain = true, true },
		"the other fails while it drains": func(s *gcptest.Scene) {
			s.Cluster("c1").Drain = true
			if _, _, err := s.Round(); err != nil {
				panic(err)
			}
			s.Unhealthy["c2"] = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			s.Settle(t)
			hinder(s)
			s.Probe()
			want := s.Settle(t)
			if got := gcptest.BackendsOf(t, want, "c1"); len(got) != 2 || got[0].Capacity != 1 {
				t.Errorf("backends: %+v", got)
			}
			if text := gcptest.Findings(want); !strings.Contains(text, "E drain c1: cluster c1 is not drained") {
				t.Errorf("findings:\n%s", text)
			}
			if got := s.State("c1"); got.State != federation.TrafficServing {
				t.Errorf("state: %+v", got)
			}
		})
	}
}

func TestClusterThatLeavesDrainsFirst(t *testing.T) {
	for name, leave := range map[string]func(*gcptest.Scene){
		"the federation": func(s *gcptest.Scene) { s.Federation.Clusters = s.Federation.Clusters[:2] },
		"the placement":  func(s *gcptest.Scene) { s.Instead("c3", "Ingress/nginx", "") },
		"for good":       func(s *gcptest.Scene) { s.Cluster("c3").Lost = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(3)
			s.Settle(t)
			leave(s)
			want := s.Settle(t)
			got := gcptest.BackendsOf(t, want, "c3")
			if len(got) != 2 || got[0].Capacity != 0 {
				t.Errorf("at first: %+v", got)
			}
			s.Pass(time.Minute)
			s.Settle(t)
			want = s.Settle(t)
			if len(gcptest.KindOf(want, gcp.KindGroup)) != 4 {
				t.Errorf("%d groups are left", len(gcptest.KindOf(want, gcp.KindGroup)))
			}
			for id, r := range s.Cloud.Resources {
				if r.Mark.Cluster == "c3" {
					t.Errorf("%s is left over", id)
				}
			}
		})
	}
}

func TestDeadClusterStaysBehindTheAddress(t *testing.T) {
	s := gcptest.NewScene(3)
	before := s.Settle(t)
	s.Change("c2", func(f *federation.ClusterFacts) { f.State, f.Outage, f.Nodes = federation.ClusterOffline, true, nil })
	s.Unhealthy["c2"] = true
	s.Pass(time.Hour)
	want, planned, err := s.Round()
	if err != nil || len(planned.Actions) > 0 {
		t.Errorf("actions %v, error %v", planned.Actions, err)
	}
	if got, want := gcptest.BackendsOf(t, want, "c2"), gcptest.BackendsOf(t, before, "c2"); !slices.Equal(got, want) {
		t.Errorf("backends %+v, want %+v", got, want)
	}
	if got := s.State("c2"); got.State != federation.TrafficUnhealthy || got.Reason.IsZero() {
		t.Errorf("state: %+v", got)
	}
}

func TestClusterThatCannotBeReadKeepsWhatItHas(t *testing.T) {
	for name, blind := range map[string]func(*federation.ClusterFacts){
		"Nodes forbidden":  func(f *federation.ClusterFacts) { f.NodesKnown, f.Nodes = false, nil },
		"never seen":       func(f *federation.ClusterFacts) { *f = federation.ClusterFacts{State: federation.ClusterPending} },
		"Unknown":          func(f *federation.ClusterFacts) { f.State, f.Nodes = federation.ClusterUnknown, nil },
		"out of sync":      func(f *federation.ClusterFacts) { f.Synced, f.Nodes = false, f.Nodes[:1] },
		"offline":          func(f *federation.ClusterFacts) { f.State = federation.ClusterOffline },
		"without any Node": func(f *federation.ClusterFacts) { f.Nodes = nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(3)
			s.Settle(t)
			s.Change("c2", blind)
			s.Pass(time.Hour)
			if _, planned, _ := s.Round(); len(planned.Actions) > 0 {
				t.Errorf("actions: %v", planned.Actions)
			}
			if got := s.State("c2"); got.State != federation.TrafficServing {
				t.Errorf("state: %+v", got)
			}
			s.Cluster("c2").Drain = true // works nevertheless: fedsync need not read the cluster for it
			s.Settle(t)
			s.Pass(time.Minute)
			want := s.Settle(t)
			if len(gcptest.KindOf(want, gcp.KindGroup)) != 4 {
				t.Errorf("%d groups after the drain", len(gcptest.KindOf(want, gcp.KindGroup)))
			}
		})
	}
}
