package gcp

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestDrainTakesTrafficAwayInSteps(t *testing.T) {
	s := newScene(3)
	s.settle(t)
	if got := s.state("c2"); got.State != federation.TrafficServing || got.Endpoints != 3 || got.Healthy != 3 {
		t.Fatalf("before: %+v", got)
	}
	s.cluster("c2").Drain = true
	want := s.settle(t)
	for _, b := range backendsOf(t, want, "c2") {
		if b.Capacity != 0 {
			t.Errorf("%s has capacity %v", b.Group, b.Capacity)
		}
	}
	if got := s.state("c2"); got.State != federation.TrafficDraining {
		t.Errorf("at once: %+v", got)
	}
	s.pass((drainSeconds + drainMargin - 1) * time.Second)
	if want = s.settle(t); len(backendsOf(t, want, "c2")) == 0 {
		t.Error("detached before connections have ended")
	}
	s.pass(time.Second)
	want = s.settle(t)
	if got := endpointsOf(want, "c2"); len(got) > 0 || len(kindOf(want, KindGroup)) != 4 {
		t.Errorf("left over: %v, %d groups", got, len(kindOf(want, KindGroup)))
	}
	if got := s.state("c2"); got.State != federation.TrafficDrained {
		t.Errorf("afterwards: %+v", got)
	}
	rule := kindOf(s.settle(t), KindFirewall)[0].Spec.(Firewall)
	if slices.Contains(rule.Tags, "gke-c2-node") {
		t.Errorf("tags %v still let the drained cluster in", rule.Tags)
	}
	s.cluster("c2").Drain = false
	want = s.settle(t)
	if got := backendsOf(t, want, "c2"); len(got) != 2 || got[0].Capacity != 1 {
		t.Errorf("after its return: %+v", got)
	}
}

func TestDrainThatEndsEarlyGivesCapacityBack(t *testing.T) {
	s := newScene(2)
	s.settle(t)
	s.cluster("c1").Drain = true
	s.settle(t)
	s.cluster("c1").Drain = false
	want := s.settle(t)
	for _, b := range backendsOf(t, want, "c1") {
		if b.Capacity != 1 {
			t.Errorf("%s has capacity %v", b.Group, b.Capacity)
		}
	}
	if id, _ := serviceOf(t, want); len(want.Resources[id].Mark.Draining) > 0 {
		t.Error("the mark says that it drains")
	}
}

func TestClusterThatCannotBeReadIsUndrained(t *testing.T) {
	s := newScene(2)
	s.settle(t)
	s.cluster("c1").Drain = true
	s.settle(t)
	s.change("c1", func(f *federation.ClusterFacts) { f.State = federation.ClusterUnknown })
	s.cluster("c1").Drain = false
	for _, b := range backendsOf(t, s.settle(t), "c1") {
		if b.Capacity != 1 {
			t.Errorf("%s has capacity %v", b.Group, b.Capacity)
		}
	}
}

func TestRestartDoesNotChangeADrain(t *testing.T) {
	s := newScene(3)
	s.settle(t)
	s.cluster("c2").Drain = true
	s.settle(t)
	s.pass(time.Hour)
	health := s.health
	s.health = nil // nobody has been asked since the start
	look := s.look()
	want := Build(s.input(), look)
	if planned := Plan(want, look); len(planned.Actions) > 0 || len(want.Findings) > 0 {
		t.Errorf("actions %v, findings:\n%s", planned.Actions, findings(want))
	}
	s.cluster("c3").Drain = true // does not begin either
	look = s.look()
	if planned := Plan(Build(s.input(), look), look); len(planned.Actions) > 0 {
		t.Errorf("actions: %v", planned.Actions)
	}
	s.health = health
	s.settle(t)
	if got := s.state("c2"); got.State != federation.TrafficDrained {
		t.Errorf("in the end: %+v", got)
	}
}

func TestManyClustersDrainOneAfterAnother(t *testing.T) {
	s := newScene(0)
	for i := range 25 {
		s.join(strings.Repeat("a-long-name-", 4) + string(rune('a'+i)))
	}
	for i := range s.federation.Clusters {
		s.change(s.federation.Clusters[i].Name, func(f *federation.ClusterFacts) { f.Nodes = f.Nodes[:1] })
	}
	s.settle(t)
	for i := range 24 {
		s.federation.Clusters[i].Drain = true
	}
	for range 3 {
		want := s.settle(t)
		id, _ := serviceOf(t, want)
		if m := want.Resources[id].Mark; readMark(m.text()).Service == "" {
			t.Fatalf("a mark of %d bytes cannot be read back", len(m.text()))
		}
		s.pass(time.Minute)
	}
	s.settle(t)
	if want := s.settle(t); len(kindOf(want, KindGroup)) != 1 {
		t.Errorf("%d groups are left", len(kindOf(want, KindGroup)))
	}
}

func TestLastHealthyClusterIsNotDrained(t *testing.T) {
	for name, hinder := range map[string]func(*scene){
		"the other is unhealthy": func(s *scene) { s.unhealthy["c2"] = true; s.cluster("c1").Drain = true },
		"all are drained":        func(s *scene) { s.cluster("c1").Drain, s.cluster("c2").Drain = true, true },
		"the other fails while it drains": func(s *scene) {
			s.cluster("c1").Drain = true
			if _, _, err := s.round(); err != nil {
				panic(err)
			}
			s.unhealthy["c2"] = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(2)
			s.settle(t)
			hinder(s)
			s.probe()
			want := s.settle(t)
			if got := backendsOf(t, want, "c1"); len(got) != 2 || got[0].Capacity != 1 {
				t.Errorf("backends: %+v", got)
			}
			if text := findings(want); !strings.Contains(text, "E drain c1: cluster c1 is not drained") {
				t.Errorf("findings:\n%s", text)
			}
			if got := s.state("c1"); got.State != federation.TrafficServing {
				t.Errorf("state: %+v", got)
			}
		})
	}
}

func TestClusterThatLeavesDrainsFirst(t *testing.T) {
	for name, leave := range map[string]func(*scene){
		"the federation": func(s *scene) { s.federation.Clusters = s.federation.Clusters[:2] },
		"the placement":  func(s *scene) { s.instead("c3", "Ingress/nginx", "") },
		"for good":       func(s *scene) { s.cluster("c3").Lost = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(3)
			s.settle(t)
			leave(s)
			want := s.settle(t)
			got := backendsOf(t, want, "c3")
			if len(got) != 2 || got[0].Capacity != 0 {
				t.Errorf("at first: %+v", got)
			}
			s.pass(time.Minute)
			s.settle(t)
			want = s.settle(t)
			if len(kindOf(want, KindGroup)) != 4 {
				t.Errorf("%d groups are left", len(kindOf(want, KindGroup)))
			}
			for id, r := range s.cloud.resources {
				if r.Mark.Cluster == "c3" {
					t.Errorf("%s is left over", id)
				}
			}
		})
	}
}

func TestDeadClusterStaysBehindTheAddress(t *testing.T) {
	s := newScene(3)
	before := s.settle(t)
	s.change("c2", func(f *federation.ClusterFacts) { f.State, f.Outage, f.Nodes = federation.ClusterOffline, true, nil })
	s.unhealthy["c2"] = true
	s.pass(time.Hour)
	want, planned, err := s.round()
	if err != nil || len(planned.Actions) > 0 {
		t.Errorf("actions %v, error %v", planned.Actions, err)
	}
	if got, want := backendsOf(t, want, "c2"), backendsOf(t, before, "c2"); !slices.Equal(got, want) {
		t.Errorf("backends %+v, want %+v", got, want)
	}
	if got := s.state("c2"); got.State != federation.TrafficUnhealthy || got.Reason.IsZero() {
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
			s := newScene(3)
			s.settle(t)
			s.change("c2", blind)
			s.pass(time.Hour)
			if _, planned, _ := s.round(); len(planned.Actions) > 0 {
				t.Errorf("actions: %v", planned.Actions)
			}
			if got := s.state("c2"); got.State != federation.TrafficServing {
				t.Errorf("state: %+v", got)
			}
			s.cluster("c2").Drain = true // works all the same: it is not the cluster that is asked
			s.settle(t)
			s.pass(time.Minute)
			want := s.settle(t)
			if len(kindOf(want, KindGroup)) != 4 {
				t.Errorf("%d groups after the drain", len(kindOf(want, KindGroup)))
			}
		})
	}
}
