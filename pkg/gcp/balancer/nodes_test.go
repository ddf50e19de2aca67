package balancer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

func TestEndpointsFollowNodes(t *testing.T) {
	all := []string{"gke-c1-0", "gke-c1-1", "gke-c1-2"}
	for name, test := range map[string]struct {
		change func(*gcptest.Scene)
		want   []string
	}{
		"a new node joins": {
			func(s *gcptest.Scene) { s.AddNode("c1", "r-c1-a", 3) },
			[]string{"gke-c1-0", "gke-c1-1", "gke-c1-2", "gke-c1-3"},
		},
		"one that is not Ready does not join": {
			func(s *gcptest.Scene) {
				s.AddNode("c1", "r-c1-a", 3)
				s.Node(3, func(n *federation.Node) { n.Ready = false })
			},
			all,
		},
		"an excluded one leaves": {
			func(s *gcptest.Scene) { s.Node(0, func(n *federation.Node) { n.Excluded = true }) }, all[1:],
		},
		"of two excluded ones one leaves": {
			func(s *gcptest.Scene) {
				s.Node(0, func(n *federation.Node) { n.Excluded = true })
				s.Node(1, func(n *federation.Node) { n.Excluded = true })
			}, all[1:],
		},
		"none leaves within a minute of the last": {
			func(s *gcptest.Scene) {
				s.Node(0, func(n *federation.Node) { n.Excluded = true })
				s.Left["c1"] = s.Now.Add(-59 * time.Second)
			}, all,
		},
		"NotReady for less than five minutes it stays": {
			func(s *gcptest.Scene) {
				s.Node(0, func(n *federation.Node) { n.Ready, n.Since = false, s.Now.Add(-299*time.Second) })
			}, all,
		},
		"NotReady for five minutes it leaves": {
			func(s *gcptest.Scene) {
				s.Node(0, func(n *federation.Node) { n.Ready, n.Since = false, s.Now.Add(-300*time.Second) })
			}, all[1:],
		},
		"most are NotReady: all stay": {
			func(s *gcptest.Scene) {
				for i := range 2 {
					s.Node(i, func(n *federation.Node) { n.Ready, n.Since = false, s.Now.Add(-time.Hour) })
				}
			}, all,
		},
		"Nodes that are gone leave at once": {
			func(s *gcptest.Scene) {
				s.Change("c1", func(f *federation.ClusterFacts) { f.Nodes = f.Nodes[2:] })
				s.Left["c1"] = s.Now
			}, all[2:],
		},
		"a machine that is not known stays": {
			func(s *gcptest.Scene) { delete(s.Machines, "gce://shop/r-c1-a/gke-c1-0") }, all,
		},
		"a machine that does not exist leaves": {
			func(s *gcptest.Scene) { s.Machines["gce://shop/r-c1-a/gke-c1-0"] = gcp.Machine{Missing: true} }, all[1:],
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			s.Settle(t)
			test.change(s)
			if got := gcptest.EndpointsOf(s.Build(), "c1"); !slices.Equal(got, test.want) {
				t.Errorf("endpoints %v, want %v", got, test.want)
			}
		})
	}
}

func TestRecreatedMachineIsAnotherEndpoint(t *testing.T) {
	s := gcptest.NewScene(1)
	s.Settle(t)
	m := s.Machines["gce://shop/r-c1-b/gke-c1-1"]
	m.Address = "10.0.0.77"
	s.Machines["gce://shop/r-c1-b/gke-c1-1"] = m
	want := s.Settle(t)
	for _, g := range gcptest.KindOf(want, gcp.KindGroup) {
		for _, e := range g.Spec.(gcp.Group).Endpoints {
			if e.Instance == "gke-c1-1" && e.Address != "10.0.0.77" {
				t.Errorf("endpoint %+v of the former machine", e)
			}
		}
	}
}

func TestATenthOfALargeClusterLeaves(t *testing.T) {
	s := gcptest.NewScene(1)
	for i := 3; i < 40; i++ {
		s.AddNode("c1", "r-c1-a", i)
	}
	s.Settle(t)
	for i := range 30 {
		s.Node(i, func(n *federation.Node) { n.Excluded = true })
	}
	for minute := range 3 {
		s.Pass(time.Minute)
		s.Settle(t)
		if got, want := len(gcptest.EndpointsOf(s.Build(), "c1")), []int{36, 33, 30}[minute]; got != want {
			t.Errorf("minute %d: %d endpoints, want %d", minute, got, want)
		}
	}
}

func TestNodesThatCannotBeEndpointsAreReported(t *testing.T) {
	for name, test := range map[string]struct {
		change  func(*gcptest.Scene)
		finding string
		left    int
	}{
		"another project": {
			func(s *gcptest.Scene) { s.Node(0, func(n *federation.Node) { n.ProviderID = "gce://other/r-c1-a/x" }) },
			"is a machine of project other", 2,
		},
		"no IPv4": {
			func(s *gcptest.Scene) {
				m := s.Machines["gce://shop/r-c1-a/gke-c1-0"]
				m.Address = ""
				s.Machines["gce://shop/r-c1-a/gke-c1-0"] = m
			}, "no internal IPv4 address", 2,
		},
		"unknown machine": {
			func(s *gcptest.Scene) { delete(s.Machines, "gce://shop/r-c1-a/gke-c1-0") }, "the machines of nodes gke-c1-0 are not known", 2,
		},
		"no machine and no zone": {
			func(s *gcptest.Scene) { s.Node(0, func(n *federation.Node) { n.ProviderID = "" }) }, "the cluster has no zone", 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			test.change(s)
			want := s.Build()
			if text := gcptest.Findings(want); !strings.Contains(text, test.finding) || !strings.HasPrefix(text, "W nodes c1") {
				t.Errorf("findings:\n%s", text)
			}
			if got := gcptest.EndpointsOf(want, "c1"); len(got) != test.left {
				t.Errorf("endpoints %v", got)
			}
		})
	}
}

func TestClustersOutsideGoogleCloudUseTheirZone(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Cluster("c2").Zone = "europe-west1-b"
	s.Change("c2", func(f *federation.ClusterFacts) {
		for i := range f.Nodes {
			f.Nodes[i].ProviderID = fmt.Sprintf("metal://%d", i)
		}
	})
	want := s.Settle(t)
	var groups []gcp.Resource
	for _, g := range gcptest.KindOf(want, gcp.KindGroup) {
		if g.Mark.Cluster == "c2" {
			groups = append(groups, g)
		}
	}
	if len(groups) != 1 || groups[0].ID.Zone != "europe-west1-b" {
		t.Fatalf("groups: %v", groups)
	}
	g := groups[0].Spec.(gcp.Group)
	if g.Type != gcp.GroupOfAddresses || g.Subnetwork != "" || g.Network != gcptest.SceneNetwork || len(g.Endpoints) != 3 || g.Endpoints[0].Instance != "" {
		t.Errorf("group: %+v", g)
	}
	if tags := gcptest.KindOf(want, gcp.KindFirewall)[0].Spec.(gcp.Firewall).Tags; !slices.Equal(tags, []string{"gke-c1-node"}) {
		t.Errorf("tags: %v", tags)
	}
	s.Unhealthy["c2"] = true
	s.Probe()
	if text := gcptest.Findings(s.Build()); !strings.Contains(text, "Cloud Router") && !strings.Contains(text, "outside Google Cloud") {
		t.Errorf("findings:\n%s", text)
	}
}

func TestNodePortMovesWithoutAGap(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Settle(t)
	s.Edit("Service/nginx", "30080", "30090")
	for i := range 2 {
		s.Unhealthy[fmt.Sprintf("c%d", i+1)] = true // no cluster has applied it yet
	}
	want, _, err := s.Round()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(gcptest.BackendsOf(t, want, "c1")); got != 4 {
		t.Errorf("%d backends while the new ones are not healthy, want both", got)
	}
	if ports := gcptest.KindOf(want, gcp.KindFirewall)[0].Spec.(gcp.Firewall).Ports; !slices.Equal(ports, []int32{30080, 30090}) {
		t.Errorf("ports let in: %v", ports)
	}
	clear(s.Unhealthy)
	s.Probe()
	s.Settle(t)
	want = s.Settle(t)
	for _, g := range gcptest.KindOf(want, gcp.KindGroup) {
		if g.Mark.NodePort != 30090 {
			t.Errorf("%s is still at port %d", g.ID, g.Mark.NodePort)
		}
	}
	if ports := gcptest.KindOf(want, gcp.KindFirewall)[0].Spec.(gcp.Firewall).Ports; !slices.Equal(ports, []int32{30090}) {
		t.Errorf("ports let in afterwards: %v", ports)
	}
}
