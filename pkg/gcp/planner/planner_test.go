package planner_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
	"github.com/fedsync/fedsync/pkg/gcp/planner"
)

// smallWorld is a small federation: one Ingress with one Service, in clusters c0 and c1.
func smallWorld() *world {
	c := func(n string) *testCluster {
		return &testCluster{zones: []string{"zone-a"}, rate: 100, nodes: map[string]string{n + "-n1": "10." + n[1:] + ".0.1", n + "-n2": "10." + n[1:] + ".0.2"}}
	}
	return &world{
		clusters:  map[string]*testCluster{"c0": c("c0"), "c1": c("c1")},
		ingresses: map[string]*testIngress{"web": {services: map[string]int32{"s": 30301}, timeout: 30, tls: 1}},
		firewall:  true,
	}
}

// built returns a model in which everything is as the world wants it.
func built(t *testing.T, w *world) *gcptest.Model {
	t.Helper()
	m := gcptest.NewModel()
	execute(t, m, planner.Plan(w.wanted(), m.Observe()))
	if p := planner.Plan(w.wanted(), m.Observe()); !p.Settled {
		t.Fatalf("not settled when built:\n%s", lines(p))
	}
	return m
}

func execute(t *testing.T, m *gcptest.Model, p gcp.Planned) {
	t.Helper()
	for _, a := range p.Actions {
		if err := m.Do(a); err != nil {
			t.Fatalf("%s: %v", a, err)
		}
	}
}

func lines(p gcp.Planned) string {
	var b strings.Builder
	for _, a := range p.Actions {
		fmt.Fprintln(&b, a)
	}
	for _, f := range p.Findings {
		fmt.Fprintln(&b, f.Severity, f.ID, f)
	}
	return strings.TrimSpace(b.String())
}

var (
	idGroup0   = gcp.ID{Kind: gcp.KindGroup, Zone: "zone-a", Name: "fs-web-s-c0"}
	idGroup1   = gcp.ID{Kind: gcp.KindGroup, Zone: "zone-a", Name: "fs-web-s-c1"}
	idService  = gcp.ID{Kind: gcp.KindService, Name: "fs-web-s"}
	idMap      = gcp.ID{Kind: gcp.KindURLMap, Name: "fs-web"}
	idFirewall = gcp.ID{Kind: gcp.KindFirewall, Name: "fs-fw"}
	idCheck    = gcp.ID{Kind: gcp.KindHealthCheck, Name: "fs-web-s"}
	idRule80   = gcp.ID{Kind: gcp.KindRule, Name: "fs-0-fs-web-0-80"}
)

func TestAnEmptyProjectGetsTheLoadBalancerInOrder(t *testing.T) {
	got := lines(planner.Plan(smallWorld().wanted(), gcptest.NewModel().Observe()))
	want := strings.TrimSpace(`
+ create  address fs-web-0  missing
+ create  firewall rule fs-fw  missing
+ create  health check fs-web-s  missing
+ create  endpoint group zone-a/fs-web-s-c0  missing
+ attach  endpoint group zone-a/fs-web-s-c0  missing: 10.0.0.1:30301, 10.0.0.2:30301
+ create  endpoint group zone-a/fs-web-s-c1  missing
+ attach  endpoint group zone-a/fs-web-s-c1  missing: 10.1.0.1:30301, 10.1.0.2:30301
+ create  backend service fs-web-s  missing
+ create  URL map fs-web  missing
+ create  certificate fs-web-1  missing
+ create  HTTP proxy fs-web  missing
+ create  HTTPS proxy fs-web  missing
+ create  forwarding rule fs-0-fs-web-0-443  missing
+ create  forwarding rule fs-0-fs-web-0-80  missing`)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlanFollowsWhatIsWanted(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*world)
		want   string
	}{
		{"nothing changes", func(*world) {}, ""},
		{"a cluster leaves", func(w *world) { delete(w.clusters, "c1") }, `
~ update  backend service fs-web-s  fields: backends: removes zone-a/fs-web-s-c1
- detach  endpoint group zone-a/fs-web-s-c1  left over: cluster c1 has left: 10.1.0.1:30301, 10.1.0.2:30301
- delete  endpoint group zone-a/fs-web-s-c1  left over: cluster c1 has left
~ update  firewall rule fs-fw  fields: targetTags: removes tag-c1`},
		{"a cluster drains", func(w *world) { w.clusters["c1"].drained = true }, `
~ update  backend service fs-web-s  fields: backends: sets zone-a/fs-web-s-c1 to capacity 0`},
		{"a node comes and one goes", func(w *world) {
			delete(w.clusters["c0"].nodes, "c0-n1")
			w.clusters["c0"].nodes["c0-n3"] = "10.0.0.3"
		}, `
+ attach  endpoint group zone-a/fs-web-s-c0  missing: 10.0.0.3:30301
- detach  endpoint group zone-a/fs-web-s-c0  no longer wanted: 10.0.0.1:30301`},
		{"all nodes are others", func(w *world) { w.clusters["c0"].nodes = map[string]string{"c0-n7": "10.0.0.7"} }, `
+ attach  endpoint group zone-a/fs-web-s-c0  missing: 10.0.0.7:30301
- detach  endpoint group zone-a/fs-web-s-c0  no longer wanted: 10.0.0.1:30301, 10.0.0.2:30301`},
		{"the node port changes", func(w *world) { w.ingresses["web"].services["s"] = 30400; delete(w.clusters, "c1") }, `
~ update  firewall rule fs-fw  fields: allowed: adds 30400
- detach  endpoint group zone-a/fs-web-s-c0  their addresses return with another port or machine: 10.0.0.1:30301
+ attach  endpoint group zone-a/fs-web-s-c0  missing: 10.0.0.1:30400
- detach  endpoint group zone-a/fs-web-s-c0  their addresses return with another port or machine: 10.0.0.2:30301
+ attach  endpoint group zone-a/fs-web-s-c0  missing: 10.0.0.2:30400
~ update  backend service fs-web-s  fields: backends: removes zone-a/fs-web-s-c1
- detach  endpoint group zone-a/fs-web-s-c1  left over: cluster c1 has left: 10.1.0.1:30301, 10.1.0.2:30301
- delete  endpoint group zone-a/fs-web-s-c1  left over: cluster c1 has left
~ update  firewall rule fs-fw  fields: allowed: removes 30301; targetTags: removes tag-c1`},
		{"another certificate", func(w *world) { w.ingresses["web"].tls = 2 }, `
+ create  certificate fs-web-2  missing
~ update  HTTPS proxy fs-web  fields: sslCertificates: adds fs-web-2, removes fs-web-1
- delete  certificate fs-web-1  left over: no Ingress needs it`},
		{"no HTTPS left", func(w *world) { w.ingresses["web"].tls = 0 }, `
- delete  forwarding rule fs-0-fs-web-0-443  left over: no Ingress needs it
- delete  HTTPS proxy fs-web  left over: no Ingress needs it
- delete  certificate fs-web-1  left over: no Ingress needs it`},
		{"another address is made before the old one is left", func(w *world) { w.ingresses["web"].address = 1; w.ingresses["web"].tls = 0 }, `
+ create  address fs-web-1  missing
+ create  forwarding rule fs-0-fs-web-1-80  missing
- delete  forwarding rule fs-0-fs-web-0-80  left over: no Ingress needs it
- delete  forwarding rule fs-0-fs-web-0-443  left over: no Ingress needs it
- delete  HTTPS proxy fs-web  left over: no Ingress needs it
- delete  certificate fs-web-1  left over: no Ingress needs it`},
		{"another Service", func(w *world) {
			delete(w.ingresses["web"].services, "s")
			w.ingresses["web"].services["z"] = 30301
			delete(w.clusters["c0"].nodes, "c0-n2")
			w.clusters["c1"].unseen = true
		}, `
+ create  health check fs-web-z  missing
+ create  endpoint group zone-a/fs-web-z-c0  missing
+ attach  endpoint group zone-a/fs-web-z-c0  missing: 10.0.0.1:30301
+ create  backend service fs-web-z  missing
~ update  URL map fs-web  fields: defaultService
- delete  backend service fs-web-s  left over: no Ingress needs it
- detach  endpoint group zone-a/fs-web-s-c1  left over: no Ingress needs it: 10.1.0.1:30301, 10.1.0.2:30301
- delete  endpoint group zone-a/fs-web-s-c1  left over: no Ingress needs it
- detach  endpoint group zone-a/fs-web-s-c0  left over: no Ingress needs it: 10.0.0.1:30301, 10.0.0.2:30301
- delete  endpoint group zone-a/fs-web-s-c0  left over: no Ingress needs it
- delete  health check fs-web-s  left over: no Ingress needs it`},
		{"the last Ingress is removed, and the address stays", func(w *world) { w.ingresses = nil }, `
- delete  forwarding rule fs-0-fs-web-0-80  left over: no Ingress needs it
- delete  forwarding rule fs-0-fs-web-0-443  left over: no Ingress needs it
- delete  HTTPS proxy fs-web  left over: no Ingress needs it
- delete  HTTP proxy fs-web  left over: no Ingress needs it
- delete  certificate fs-web-1  left over: no Ingress needs it
- delete  URL map fs-web  left over: no Ingress needs it
- delete  backend service fs-web-s  left over: no Ingress needs it
- detach  endpoint group zone-a/fs-web-s-c1  left over: cluster c1 has left: 10.1.0.1:30301, 10.1.0.2:30301
- delete  endpoint group zone-a/fs-web-s-c1  left over: cluster c1 has left
- detach  endpoint group zone-a/fs-web-s-c0  left over: cluster c0 has left: 10.0.0.1:30301, 10.0.0.2:30301
- delete  endpoint group zone-a/fs-web-s-c0  left over: cluster c0 has left
- delete  health check fs-web-s  left over: no Ingress needs it
- delete  firewall rule fs-fw  left over: no Ingress needs it`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := smallWorld()
			m := built(t, w)
			c.change(w)
			p := planner.Plan(w.wanted(), m.Observe())
			if got := lines(p); got != strings.TrimSpace(c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			execute(t, m, p)
		})
	}
}

func TestPlanProtectsExistingResources(t *testing.T) {
	edit := func(id gcp.ID, change func(*gcp.Resource)) func(*world, *gcptest.Model, *gcp.Observed) {
		return func(_ *world, m *gcptest.Model, is *gcp.Observed) {
			r := m.Resources[id]
			change(&r)
			is.Resources[id] = r
		}
	}
	foreign := func(r *gcp.Resource) { r.Mark, r.Description = gcp.Mark{}, "" }
	for _, c := range []struct {
		name    string
		change  func(*world, *gcptest.Model, *gcp.Observed)
		want    string
		settled bool
	}{
		{name: "a kind that cannot be listed is not created again", change: func(_ *world, _ *gcptest.Model, is *gcp.Observed) {
			delete(is.Resources, idMap)
			delete(is.Complete, gcp.KindURLMap)
		}},
		{name: "nor is what cannot be seen removed from a backend service", change: func(_ *world, _ *gcptest.Model, is *gcp.Observed) {
			delete(is.Resources, idGroup0)
			delete(is.Complete, gcp.KindGroup)
		}},
		{name: "what may be in use stays while its users cannot be listed", change: func(w *world, _ *gcptest.Model, is *gcp.Observed) {
			w.ingresses["web"].tls = 0
			delete(is.Complete, gcp.KindHTTPSProxy)
			delete(is.Complete, gcp.KindRule)
		}, want: `
- delete  forwarding rule fs-0-fs-web-0-443  left over: no Ingress needs it`},
		{name: "a foreign URL map under our name", change: edit(idMap, func(r *gcp.Resource) {
			foreign(r)
			r.Description = `{"kubernetes.io/ingress-name":"default/web"}`
			r.Spec = gcp.URLMap{Default: gcp.Target{Service: gcp.ID{Kind: gcp.KindService, Name: "x"}}}
		}), want: `
E balancer-conflict compute/UrlMap/fs-web: URL map fs-web exists and is probably made by GKE's Ingress controller (description: "{\"kubernetes.io/ingress-name\":\"default/web\"}"): it is not touched, and nothing is built on it; it differs from the wanted resource in defaultService`},
		{name: "another source's backend service under our name", change: edit(idService, func(r *gcp.Resource) {
			r.Mark = gcp.Mark{Federation: "fed", Source: "other", Ingress: "i"}
		}), want: `
E balancer-conflict compute/BackendService/fs-web-s: backend service fs-web-s exists and is managed by fedsync for federation "fed" and source "other", for "i": it is not touched, and nothing is built on it`},
		{name: "one cluster's conflict does not hold up another's node", change: func(w *world, m *gcptest.Model, is *gcp.Observed) {
			edit(idGroup0, foreign)(w, m, is)
			delete(w.clusters["c1"].nodes, "c1-n1")
		}, want: `
- detach  endpoint group zone-a/fs-web-s-c1  no longer wanted: 10.1.0.1:30301
E balancer-conflict compute/NetworkEndpointGroup/zone-a/fs-web-s-c0: endpoint group zone-a/fs-web-s-c0 exists and is not fedsync's (no description): it is not touched, and nothing is built on it`},
		{name: "a foreign URL map uses a left-over", change: func(w *world, _ *gcptest.Model, is *gcp.Observed) {
			w.ingresses = nil
			for _, id := range gcp.SortedIDs(is.Resources) {
				if id.Kind.Rank() > gcp.KindService.Rank() {
					delete(is.Resources, id)
				}
			}
			id := gcp.ID{Kind: gcp.KindURLMap, Name: "mci1-um--x"}
			is.Resources[id] = gcp.Resource{ID: id, Spec: gcp.URLMap{Default: gcp.Target{Service: idService}}}
		}, want: `
W balancer-in-use compute/BackendService/fs-web-s: backend service fs-web-s is left over and cannot be deleted: it is used by URL map mci1-um--x, which is probably made by kubemci (no description)`},
		{name: "a certificate with other content under its name, in use", change: edit(gcp.ID{Kind: gcp.KindCertificate, Name: "fs-web-1"}, func(r *gcp.Resource) {
			r.Mark.Content = "other"
		}), want: `
E balancer-fixed compute/SslCertificate/fs-web-1: certificate fs-web-1 differs in certificate, which cannot be changed in place; it is used by HTTPS proxy fs-web`},
		{name: "a forwarding rule of ours elsewhere is not taken down", change: edit(idRule80, func(r *gcp.Resource) {
			rule, _ := r.Spec.(gcp.Rule)
			rule.IP = "192.0.2.1"
			r.Spec = rule
		}), want: `
E balancer-fixed compute/ForwardingRule/fs-0-fs-web-0-80: forwarding rule fs-0-fs-web-0-80 differs in IPAddress, which cannot be changed in place; fedsync does not delete it, because it may carry traffic`},
		{name: "endpoints that were not read", change: edit(idGroup0, func(r *gcp.Resource) {
			g, _ := r.Spec.(gcp.Group)
			g.Endpoints = nil
			r.Spec = g
		})},
		{name: "held", settled: true, change: func(w *world, _ *gcptest.Model, _ *gcp.Observed) {
			w.clusters["c0"].unseen = true
			delete(w.clusters["c0"].nodes, "c0-n1")
		}},
		{name: "a firewall rule without tags", change: func(w *world, m *gcptest.Model, is *gcp.Observed) {
			edit(idFirewall, func(r *gcp.Resource) {
				r.Spec = gcp.Firewall{Network: testNetwork, Tags: []string{"tag-c0"}}
			})(w, m, is)
		}, want: `
~ update  firewall rule fs-fw  fields: allowed: adds 30301; sourceRanges: adds 130.211.0.0/22, 35.191.0.0/16; targetTags: adds tag-c1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := smallWorld()
			m := built(t, w)
			is := m.Observe()
			c.change(w, m, &is)
			p := planner.Plan(w.wanted(), is)
			if got := lines(p); got != strings.TrimSpace(c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if p.Settled != c.settled {
				t.Errorf("Settled = %v, want %v", p.Settled, c.settled)
			}
		})
	}
}

func TestAFirewallRuleNeverLosesAllItsTags(t *testing.T) {
	w := smallWorld()
	m := built(t, w)
	want := w.wanted()
	r := want.Resources[idFirewall]
	f, _ := r.Spec.(gcp.Firewall)
	f.Tags = nil
	r.Spec = f
	want.Resources[idFirewall] = r
	got := lines(planner.Plan(want, m.Observe()))
	if !strings.HasPrefix(got, "E balancer-untagged compute/Firewall/fs-fw: ") || strings.Contains(got, "\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestAFirewallRuleStaysWhileGroupsNeedIt(t *testing.T) {
	w := smallWorld()
	m := built(t, w)
	w.firewall = false
	if p := planner.Plan(w.wanted(), m.Observe()); len(p.Actions) > 0 || p.Settled {
		t.Errorf("got\n%s", lines(p))
	}
}

func TestAHandMadeOpeningIsClosed(t *testing.T) {
	w := smallWorld()
	m := built(t, w)
	r := m.Resources[idFirewall]
	f, _ := r.Spec.(gcp.Firewall)
	f.Ranges, f.Ports, f.Extra = []string{"0.0.0.0/0"}, []int32{22, 30301}, []string{"udp:53"}
	r.Spec = f
	m.Resources[idFirewall] = r
	p := planner.Plan(w.wanted(), m.Observe())
	want := `~ update  firewall rule fs-fw  fields: allowed: removes udp:53; sourceRanges: adds 130.211.0.0/22, 35.191.0.0/16, removes 0.0.0.0/0
~ update  firewall rule fs-fw  fields: allowed: removes 22`
	if got := lines(p); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	execute(t, m, p)
}

func TestTheUsersAddressIsAwaited(t *testing.T) {
	w := smallWorld()
	w.ingresses["web"].own = true
	m := gcptest.NewModel()
	p := planner.Plan(w.wanted(), m.Observe())
	if got := lines(p); strings.Contains(got, "forwarding rule") || !strings.Contains(got, "E balancer-missing compute/Address/user-web-0: address user-web-0 does not exist") {
		t.Errorf("got\n%s", got)
	}
	execute(t, m, p)
	id := gcp.ID{Kind: gcp.KindAddress, Name: "user-web-0"}
	m.Resources[id] = gcp.Resource{ID: id, Spec: gcp.Address{IP: "192.0.2.7"}}
	p = planner.Plan(w.wanted(), m.Observe())
	if len(p.Actions) != 2 || p.Actions[0].Verb != gcp.Create || p.Actions[1].Verb != gcp.Create || len(p.Findings) > 0 {
		t.Errorf("got\n%s", lines(p))
	}
}

func TestAnAddressThatAnotherRuleHasIsAConflict(t *testing.T) {
	w := smallWorld()
	w.ingresses["web"].own = true
	m := gcptest.NewModel()
	address := gcp.ID{Kind: gcp.KindAddress, Name: "user-web-0"}
	m.Resources[address] = gcp.Resource{ID: address, Spec: gcp.Address{IP: "192.0.2.7", InUse: true}}
	id := gcp.ID{Kind: gcp.KindRule, Name: "k8s-fw-default-web--1"}
	m.Resources[id] = gcp.Resource{ID: id, Spec: gcp.Rule{IP: "192.0.2.7", Port: 80, Scheme: "EXTERNAL"}}
	p := planner.Plan(w.wanted(), m.Observe())
	got := lines(p)
	if strings.Contains(got, "create  forwarding rule") || !strings.Contains(got, "the address 192.0.2.7 is used by forwarding rule k8s-fw-default-web--1 (port 80), which is probably made by GKE's Ingress controller") {
		t.Errorf("got\n%s", got)
	}
	execute(t, m, p)
	if p := planner.Plan(w.wanted(), m.Observe()); len(p.Actions) > 0 || p.Settled {
		t.Errorf("then\n%s", lines(p))
	}
}

func TestAGroupOfAnotherSubnetworkIsReplacedOnlyWhenUnused(t *testing.T) {
	w := smallWorld()
	m := built(t, w)
	r := m.Resources[idGroup0]
	g, _ := r.Spec.(gcp.Group)
	g.Subnetwork = "elsewhere"
	r.Spec = g
	m.Resources[idGroup0] = r
	p := planner.Plan(w.wanted(), m.Observe())
	if got := lines(p); !strings.HasPrefix(got, "E balancer-fixed compute/NetworkEndpointGroup/zone-a/fs-web-s-c0: ") {
		t.Errorf("got\n%s", got)
	}
	m.Remove(idService)
	p = planner.Plan(w.wanted(), m.Observe())
	want := `- detach  endpoint group zone-a/fs-web-s-c0  the group is replaced: 10.0.0.1:30301, 10.0.0.2:30301
- delete  endpoint group zone-a/fs-web-s-c0  differs in subnetwork, which cannot be changed in place
+ create  endpoint group zone-a/fs-web-s-c0  missing
+ attach  endpoint group zone-a/fs-web-s-c0  missing: 10.0.0.1:30301, 10.0.0.2:30301`
	if got := lines(p); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%s\nwant first\n%s", got, want)
	}
	execute(t, m, p)
}

func TestEndpointsGoInBatches(t *testing.T) {
	w := smallWorld()
	nodes := map[string]string{}
	for i := range 1201 {
		nodes[fmt.Sprintf("c0-m%04d", i)] = fmt.Sprintf("10.9.%d.%d", i/250, i%250)
	}
	w.clusters["c0"].nodes = nodes
	m := gcptest.NewModel()
	p := planner.Plan(w.wanted(), m.Observe())
	var sizes []int
	for _, a := range p.Actions {
		if a.Verb == gcp.Attach && a.ID == idGroup0 {
			sizes = append(sizes, len(a.Endpoints))
			if !slices.IsSortedFunc(a.Endpoints, gcp.Endpoint.Compare) {
				t.Error("a batch is not sorted")
			}
		}
	}
	if !slices.Equal(sizes, []int{500, 500, 201}) {
		t.Errorf("batches of %v", sizes)
	}
	execute(t, m, p)
}

func TestChangedMarksAreWrittenIfPossible(t *testing.T) {
	w := smallWorld()
	m := built(t, w)
	want := w.wanted()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600))
	for id, r := range want.Resources {
		r.Mark.Draining = map[string]time.Time{"c0": since}
		want.Resources[id] = r
	}
	p := planner.Plan(want, m.Observe())
	var kinds []gcp.Kind
	for _, a := range p.Actions {
		if a.Verb != gcp.Update || !slices.Equal(a.Fields, []string{"description"}) {
			t.Errorf("got %s", a)
		}
		kinds = append(kinds, a.ID.Kind)
	}
	if want := []gcp.Kind{gcp.KindFirewall, gcp.KindHealthCheck, gcp.KindService, gcp.KindURLMap}; !slices.Equal(kinds, want) {
		t.Errorf("marks of %v, want %v", kinds, want)
	}
	execute(t, m, p)
	for id, r := range m.Resources {
		r.Mark = gcp.ReadMark(r.Mark.Text())
		m.Resources[id] = r
	}
	if p := planner.Plan(want, m.Observe()); !p.Settled {
		t.Errorf("then\n%s", lines(p))
	}
}

func TestAFindingNamesTheIngressesFile(t *testing.T) {
	w := smallWorld()
	m := built(t, w)
	r := m.Resources[idMap]
	r.Mark = gcp.Mark{}
	m.Resources[idMap] = r
	want := w.wanted()
	want.Balancers = []gcp.Balancer{{
		Ingress: federation.ObjectRef{Group: "networking.k8s.io", Kind: "Ingress", Namespace: "default", Name: "web"},
		App:     "shop", File: "shop/web.yaml",
	}}
	p := planner.Plan(want, m.Observe())
	if len(p.Findings) != 1 || p.Findings[0].App != "shop" || p.Findings[0].File != "shop/web.yaml" {
		t.Errorf("findings %+v", p.Findings)
	}
}

func TestDiffersIgnoresOrder(t *testing.T) {
	a := gcp.Firewall{Network: "n", Ranges: []string{"a", "b"}, Ports: []int32{2, 1}, Tags: []string{"y", "x"}}
	b := gcp.Firewall{Network: "n", Ranges: []string{"b", "a", "a"}, Ports: []int32{1, 2}, Tags: []string{"x", "y"}}
	if got := gcp.Differences(a, b); len(got) > 0 {
		t.Errorf("firewall: %v", got)
	}
	b1, b2 := gcp.Backend{Group: idGroup0, Capacity: 1}, gcp.Backend{Group: idGroup1, Capacity: 1}
	if got := gcp.Differences(gcp.Service{Backends: []gcp.Backend{b1, b2}}, gcp.Service{Backends: []gcp.Backend{b2, b1}}); len(got) > 0 {
		t.Errorf("service: %v", got)
	}
	p, q := gcp.ID{Name: "p"}, gcp.ID{Name: "q"}
	if got := gcp.Differences(gcp.Proxy{Certificates: []gcp.ID{p, q}}, gcp.Proxy{Certificates: []gcp.ID{q, p}}); !slices.Equal(got, []string{"sslCertificates"}) {
		t.Errorf("proxy: %v: the first certificate is the default", got)
	}
}

func TestDiffersNamesEachField(t *testing.T) {
	h := gcp.Target{Service: idService}
	for _, c := range []struct {
		want, is gcp.Spec
		fields   string
	}{
		{gcp.Address{}, gcp.Address{IP: "1"}, ""},
		{gcp.Certificate{Chain: "x"}, gcp.Certificate{}, ""},
		{gcp.Group{Type: "a", Network: "n", Subnetwork: "s", Endpoints: []gcp.Endpoint{{}}}, gcp.Group{}, "network networkEndpointType subnetwork"},
		{gcp.HealthCheck{Protocol: "HTTP", Path: "/", Host: "h", Interval: 1, Timeout: 1, Healthy: 1, Unhealthy: 1}, gcp.HealthCheck{}, "checkIntervalSec healthyThreshold host requestPath timeoutSec type unhealthyThreshold"},
		{gcp.Service{Protocol: "HTTP", HealthCheck: idCheck, Timeout: 1, Drain: 1}, gcp.Service{Extra: []string{"u"}}, "connectionDraining healthChecks protocol timeoutSec"},
		{gcp.Service{}, gcp.Service{Extra: []string{"u"}}, ""},
		{gcp.URLMap{Default: gcp.Target{NotFound: true}}, gcp.URLMap{Default: gcp.Target{HTTPS: true}}, "defaultRouteAction defaultUrlRedirect"},
		{gcp.URLMap{Hosts: []gcp.HostRule{{Host: "a", Default: h}}}, gcp.URLMap{Hosts: []gcp.HostRule{{Host: "a"}}}, "pathMatchers"},
		{gcp.URLMap{Hosts: []gcp.HostRule{{Host: "a", Default: h}}}, gcp.URLMap{Hosts: []gcp.HostRule{{Host: "b", Default: h}}}, "hostRules"},
		{gcp.Proxy{URLMap: idMap}, gcp.Proxy{}, "urlMap"},
		{gcp.Rule{Port: 80, Target: idMap}, gcp.Rule{IP: "1"}, "portRange target"},
		{gcp.Rule{IP: "1"}, gcp.Rule{IP: "2", Scheme: "EXTERNAL"}, "IPAddress loadBalancingScheme"},
		{gcp.Rule{IP: "1", Scheme: gcp.Scheme}, gcp.Rule{IP: "1", Scheme: gcp.Scheme}, ""},
		{gcp.Firewall{Network: "n"}, gcp.Firewall{Disabled: true, Extra: []string{"all"}}, "allowed disabled network"},
		{gcp.Proxy{URLMap: idMap}, nil, "urlMap"},
	} {
		if got := strings.Join(gcp.Differences(c.want, c.is), " "); got != c.fields {
			t.Errorf("%T differs in %q, want %q", c.want, got, c.fields)
		}
	}
}

func TestUsersAreTheKindsThatRefer(t *testing.T) {
	// The table of users must contain every kind that refs can return.
	want := smallWorld().wanted()
	used := map[gcp.Kind]map[gcp.Kind]bool{}
	for id, r := range want.Resources {
		for _, ref := range r.References() {
			if used[ref.Kind] == nil {
				used[ref.Kind] = map[gcp.Kind]bool{}
			}
			used[ref.Kind][id.Kind] = true
		}
	}
	for kind, by := range used {
		for user := range maps.Keys(by) {
			if !slices.Contains(planner.Users(kind), user) {
				t.Errorf("users(%s) lacks %s", kind, user)
			}
		}
	}
}

func TestAHeldLeftOverStays(t *testing.T) {
	w := smallWorld()
	m := built(t, w)
	w.ingresses = nil
	want := w.wanted()
	for id := range m.Resources {
		want.Held[id] = "its Ingress cannot be read"
	}
	if p := planner.Plan(want, m.Observe()); len(p.Actions) > 0 || !p.Settled {
		t.Errorf("got\n%s", lines(p))
	}
}
