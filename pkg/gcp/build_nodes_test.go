package gcp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestEndpointsFollowNodes(t *testing.T) {
	all := []string{"gke-c1-0", "gke-c1-1", "gke-c1-2"}
	for name, test := range map[string]struct {
		change func(*scene)
		want   []string
	}{
		"a new node joins": {
			func(s *scene) { s.addNode("c1", "r-c1-a", 3) },
			[]string{"gke-c1-0", "gke-c1-1", "gke-c1-2", "gke-c1-3"},
		},
		"one that is not Ready does not join": {
			func(s *scene) { s.addNode("c1", "r-c1-a", 3); s.node(3, func(n *federation.Node) { n.Ready = false }) },
			all,
		},
		"an excluded one leaves": {
			func(s *scene) { s.node(0, func(n *federation.Node) { n.Excluded = true }) }, all[1:],
		},
		"of two excluded ones one leaves": {
			func(s *scene) {
				s.node(0, func(n *federation.Node) { n.Excluded = true })
				s.node(1, func(n *federation.Node) { n.Excluded = true })
			}, all[1:],
		},
		"none leaves within a minute of the last": {
			func(s *scene) {
				s.node(0, func(n *federation.Node) { n.Excluded = true })
				s.left["c1"] = s.now.Add(-59 * time.Second)
			}, all,
		},
		"NotReady for less than five minutes it stays": {
			func(s *scene) {
				s.node(0, func(n *federation.Node) { n.Ready, n.Since = false, s.now.Add(-299*time.Second) })
			}, all,
		},
		"NotReady for five minutes it leaves": {
			func(s *scene) {
				s.node(0, func(n *federation.Node) { n.Ready, n.Since = false, s.now.Add(-300*time.Second) })
			}, all[1:],
		},
		"most are NotReady: all stay": {
			func(s *scene) {
				for i := range 2 {
					s.node(i, func(n *federation.Node) { n.Ready, n.Since = false, s.now.Add(-time.Hour) })
				}
			}, all,
		},
		"Nodes that are gone leave at once": {
			func(s *scene) {
				s.change("c1", func(f *federation.ClusterFacts) { f.Nodes = f.Nodes[2:] })
				s.left["c1"] = s.now
			}, all[2:],
		},
		"a machine that is not known stays": {
			func(s *scene) { delete(s.machines, "gce://shop/r-c1-a/gke-c1-0") }, all,
		},
		"a machine that does not exist leaves": {
			func(s *scene) { s.machines["gce://shop/r-c1-a/gke-c1-0"] = Machine{Missing: true} }, all[1:],
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(2)
			s.settle(t)
			test.change(s)
			if got := endpointsOf(s.build(), "c1"); !slices.Equal(got, test.want) {
				t.Errorf("endpoints %v, want %v", got, test.want)
			}
		})
	}
}

func TestRecreatedMachineIsAnotherEndpoint(t *testing.T) {
	s := newScene(1)
	s.settle(t)
	m := s.machines["gce://shop/r-c1-b/gke-c1-1"]
	m.Address = "10.0.0.77"
	s.machines["gce://shop/r-c1-b/gke-c1-1"] = m
	want := s.settle(t)
	for _, g := range kindOf(want, KindGroup) {
		for _, e := range g.Spec.(Group).Endpoints {
			if e.Instance == "gke-c1-1" && e.Address != "10.0.0.77" {
				t.Errorf("endpoint %+v of the former machine", e)
			}
		}
	}
}

func TestATenthOfALargeClusterLeaves(t *testing.T) {
	s := newScene(1)
	for i := 3; i < 40; i++ {
		s.addNode("c1", "r-c1-a", i)
	}
	s.settle(t)
	for i := range 30 {
		s.node(i, func(n *federation.Node) { n.Excluded = true })
	}
	for minute := range 3 {
		s.pass(time.Minute)
		s.settle(t)
		if got, want := len(endpointsOf(s.build(), "c1")), []int{36, 33, 30}[minute]; got != want {
			t.Errorf("minute %d: %d endpoints, want %d", minute, got, want)
		}
	}
}

func TestNodesThatCannotBeEndpointsAreReported(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*scene)
		finding string
		left    int
	}{
		"another project": {
			func(s *scene) { s.node(0, func(n *federation.Node) { n.ProviderID = "gce://other/r-c1-a/x" }) },
			"is a machine of project other", 2,
		},
		"no IPv4": {
			func(s *scene) {
				m := s.machines["gce://shop/r-c1-a/gke-c1-0"]
				m.Address = ""
				s.machines["gce://shop/r-c1-a/gke-c1-0"] = m
			}, "no internal IPv4 address", 2,
		},
		"unknown machine": {
			func(s *scene) { delete(s.machines, "gce://shop/r-c1-a/gke-c1-0") }, "the machines of nodes gke-c1-0 are not known", 2,
		},
		"no machine and no zone": {
			func(s *scene) { s.node(0, func(n *federation.Node) { n.ProviderID = "" }) }, "the cluster has no zone", 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(2)
			test.change(s)
			want := s.build()
			if text := findings(want); !strings.Contains(text, test.finding) || !strings.HasPrefix(text, "W nodes c1") {
				t.Errorf("findings:\n%s", text)
			}
			if got := endpointsOf(want, "c1"); len(got) != test.left {
				t.Errorf("endpoints %v", got)
			}
		})
	}
}

func TestClustersElsewhereStandInTheirZone(t *testing.T) {
	s := newScene(2)
	s.cluster("c2").Zone = "europe-west1-b"
	s.change("c2", func(f *federation.ClusterFacts) {
		for i := range f.Nodes {
			f.Nodes[i].ProviderID = fmt.Sprintf("metal://%d", i)
		}
	})
	want := s.settle(t)
	var groups []Resource
	for _, g := range kindOf(want, KindGroup) {
		if g.Mark.Cluster == "c2" {
			groups = append(groups, g)
		}
	}
	if len(groups) != 1 || groups[0].ID.Zone != "europe-west1-b" {
		t.Fatalf("groups: %v", groups)
	}
	g := groups[0].Spec.(Group)
	if g.Type != GroupOfAddresses || g.Subnetwork != "" || g.Network != sceneNetwork || len(g.Endpoints) != 3 || g.Endpoints[0].Instance != "" {
		t.Errorf("group: %+v", g)
	}
	if tags := kindOf(want, KindFirewall)[0].Spec.(Firewall).Tags; !slices.Equal(tags, []string{"gke-c1-node"}) {
		t.Errorf("tags: %v", tags)
	}
	s.unhealthy["c2"] = true
	s.probe()
	if text := findings(s.build()); !strings.Contains(text, "Cloud Router") && !strings.Contains(text, "outside Google Cloud") {
		t.Errorf("findings:\n%s", text)
	}
}

func TestNodePortMovesWithoutAGap(t *testing.T) {
	s := newScene(2)
	s.settle(t)
	s.edit("Service/nginx", "30080", "30090")
	for i := range 2 {
		s.unhealthy[fmt.Sprintf("c%d", i+1)] = true // no cluster has applied it yet
	}
	want, _, err := s.round()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(backendsOf(t, want, "c1")); got != 4 {
		t.Errorf("%d backends while the new ones are not healthy, want both", got)
	}
	if ports := kindOf(want, KindFirewall)[0].Spec.(Firewall).Ports; !slices.Equal(ports, []int32{30080, 30090}) {
		t.Errorf("ports let in: %v", ports)
	}
	clear(s.unhealthy)
	s.probe()
	s.settle(t)
	want = s.settle(t)
	for _, g := range kindOf(want, KindGroup) {
		if g.Mark.NodePort != 30090 {
			t.Errorf("%s is still at port %d", g.ID, g.Mark.NodePort)
		}
	}
	if ports := kindOf(want, KindFirewall)[0].Spec.(Firewall).Ports; !slices.Equal(ports, []int32{30090}) {
		t.Errorf("ports let in afterwards: %v", ports)
	}
}
