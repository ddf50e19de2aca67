package gce

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gce/convert"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

func TestListsAreReadPageByPage(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	c.pageSize = 2
	f := newFrontend(t)
	for i := range 5 {
		r := f.check
		r.ID.Name = fmt.Sprintf("hc-%d", i)
		mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: r.ID, Want: r})
		n := f.group
		n.ID.Name = fmt.Sprintf("neg-%d", i)
		mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: n.ID, Want: n})
	}
	if seen := mustObserve(t, c, gcp.Scope{}); len(seen.Resources) != 10 {
		t.Errorf("seen %d resources, want 10", len(seen.Resources))
	}

	// The second page fails: the first one is in the result, and the kind is incomplete.
	for _, method := range []string{`healthChecks\.list`, `networkEndpointGroups\.aggregatedList`} {
		server.Fault(gcetest.Fault{Method: method, Nth: 2, Action: gcetest.Answer{Status: 403, Reason: "forbidden"}})
	}
	seen := c.Observe(t.Context(), gcp.Scope{Owner: standOwner})
	if seen.Complete[gcp.KindHealthCheck] || seen.Complete[gcp.KindGroup] || !seen.Complete[gcp.KindService] {
		t.Errorf("complete: %v", seen.Complete)
	}
	if len(seen.Resources) != 4 || len(seen.Errors) != 2 || classOf(seen.Errors[0].Err) != gcp.ClassForbidden {
		t.Errorf("%d resources, errors %v", len(seen.Resources), seen.Errors)
	}
}

// rewrite changes the answers to one path.
type rewrite struct {
	path     string
	old, new string
}

func (r rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || !strings.HasSuffix(req.URL.Path, r.path) {
		return res, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	body = bytes.Replace(body, []byte(r.old), []byte(r.new), 1)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Del("Content-Length")
	return res, nil
}

func TestZonesThatDoNotAnswerAreNotEmpty(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: f.group.ID, Want: f.group})
	for what, added := range map[string]string{
		"unreachable": `{"unreachables":["zones/z-2"],`,
		"a warning":   `{"warning":{"code":"UNREACHABLE"},`,
	} {
		partial, err := New(t.Context(), Options{
			Project: gcptest.Project, Endpoint: server.URL(),
			HTTPClient: &http.Client{Transport: rewrite{"/aggregated/networkEndpointGroups", "{", added}},
		})
		if err != nil {
			t.Fatal(err)
		}
		seen := partial.Observe(t.Context(), gcp.Scope{Owner: standOwner})
		if _, found := seen.Resources[f.group.ID]; !found || seen.Complete[gcp.KindGroup] || len(seen.Errors) != 1 {
			t.Errorf("%s: found %v, complete %v, errors %v", what, found, seen.Complete[gcp.KindGroup], seen.Errors)
		}
	}
}

func TestObserveReturnsTheOwnersScope(t *testing.T) {
	_, c := newStandIn(t, gcetest.Options{})
	ours, theirs := newFrontend(t), newFrontend(t)
	ours.build(t, c)
	stranger := gcp.Mark{Federation: "other", Source: "x"}
	named := ours.check
	named.ID.Name, named.Mark = "named", stranger
	unnamed := named
	unnamed.ID.Name = "unnamed"
	// Another federation's rule at our address.
	theirs.http.ID.Name, theirs.http.Mark = "their-tp", stranger
	theirs.plain.ID.Name, theirs.plain.Mark = "their-fr", stranger
	theirs.plain.Spec = gcp.Rule{Address: ours.address.ID, Port: 8080, Target: theirs.http.ID}
	for _, r := range []gcp.Resource{named, unnamed, theirs.http, theirs.plain} {
		mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: r.ID, Want: r})
	}
	seen := mustObserve(t, c, gcp.Scope{Names: map[gcp.ID]bool{named.ID: true}})
	for id, want := range map[gcp.ID]bool{
		ours.check.ID: true, named.ID: true, unnamed.ID: false, theirs.http.ID: false, theirs.plain.ID: true,
	} {
		if _, found := seen.Resources[id]; found != want {
			t.Errorf("%s: seen %v, want %v", id, found, want)
		}
	}
	if r := seen.Resources[named.ID]; r.Mark.Federation != "other" {
		t.Errorf("mark of another federation: %+v", r.Mark)
	}
}

func TestBackendsOfOthersAreExtra(t *testing.T) {
	_, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	f.build(t, c)
	foreign := f.group
	foreign.ID.Name, foreign.Mark = "foreign", gcp.Mark{Federation: "other", Source: "x"}
	mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: foreign.ID, Want: foreign})
	both := withSpec(f.service, func(s *gcp.Service) {
		s.Backends = append(slices.Clone(s.Backends), gcp.Backend{Group: foreign.ID, MaxRate: 1, Capacity: 1})
	})
	mustDo(t, c, gcp.Action{Verb: gcp.Update, ID: both.ID, Fields: []string{"backends"}, Want: both})

	fresh := func() gcp.Service {
		spec, _ := mustObserve(t, c, gcp.Scope{}).Resources[f.service.ID].Spec.(gcp.Service)
		return spec
	}
	want := []string{convert.LinkOf(foreign.ID, gcptest.Project)}
	if s := fresh(); len(s.Backends) != 1 || !slices.Equal(s.Extra, want) {
		t.Errorf("backends %v, extra %v", s.Backends, s.Extra)
	}
	drained := withSpec(f.service, func(s *gcp.Service) { s.Backends = []gcp.Backend{{Group: f.group.ID, MaxRate: 100, Capacity: 0}} })
	mustDo(t, c, gcp.Action{Verb: gcp.Update, ID: drained.ID, Fields: []string{"backends"}, Want: drained})
	if s := fresh(); len(s.Backends) != 1 || s.Backends[0].Capacity != 0 || !slices.Equal(s.Extra, want) {
		t.Errorf("drained: backends %v, extra %v", s.Backends, s.Extra)
	}
	mustDo(t, c, gcp.Action{Verb: gcp.Update, ID: f.service.ID, Fields: []string{"backends"}, Want: withSpec(f.service, func(s *gcp.Service) { s.Backends = nil })})
	if s := fresh(); len(s.Backends) != 0 || !slices.Equal(s.Extra, want) {
		t.Errorf("detached: backends %v, extra %v", s.Backends, s.Extra)
	}
}

func TestEndpointsAreReadWhereTheyMayHaveChanged(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	other := newClient(t, server)
	f := newFrontend(t)
	f.build(t, c)
	var seen gcp.Observed
	expect := func(what string, reads int, want []gcp.Endpoint) {
		t.Helper()
		before := c.Calls()["networkEndpointGroups.listNetworkEndpoints"]
		seen = mustObserve(t, c, gcp.Scope{Earlier: seen})
		group, _ := seen.Resources[f.group.ID].Spec.(gcp.Group)
		if got := c.Calls()["networkEndpointGroups.listNetworkEndpoints"] - before; got != reads || !slices.Equal(group.Endpoints, want) {
			t.Errorf("%s: %d reads, endpoints %v, want %d, %v", what, got, group.Endpoints, reads, want)
		}
	}
	expect("at first", 1, standEndpoints)
	expect("when nothing changed", 0, standEndpoints)
	third := gcp.Endpoint{Instance: "node-3", Address: "10.0.0.3", Port: 30080}
	mustDo(t, other, gcp.Action{Verb: gcp.Attach, ID: f.group.ID, Want: f.group, Endpoints: []gcp.Endpoint{third}})
	all := append(slices.Clone(standEndpoints), third)
	expect("when another client attached one", 1, all)
	mustDo(t, c, gcp.Action{Verb: gcp.Detach, ID: f.group.ID, Want: f.group, Endpoints: standEndpoints[:1]})
	mustDo(t, c, gcp.Action{Verb: gcp.Attach, ID: f.group.ID, Want: f.group, Endpoints: standEndpoints[:1]})
	expect("when they were exchanged by us", 1, all)
	expect("when nothing changed", 0, all)
	c.groups[f.group.ID] = groupRead{due: time.Now().Add(-time.Second)}
	expect("by the clock", 1, all)

	server.Fault(gcetest.Fault{Method: `networkEndpointGroups\.listNetworkEndpoints`, Times: 1, Action: gcetest.Answer{Status: 403, Reason: "forbidden"}})
	c.groups[f.group.ID] = groupRead{}
	failed := c.Observe(t.Context(), gcp.Scope{Owner: standOwner, Earlier: seen})
	group, _ := failed.Resources[f.group.ID].Spec.(gcp.Group)
	if !slices.Equal(group.Endpoints, all) || len(failed.Errors) != 1 {
		t.Errorf("after a failed read: %v, errors %v", group.Endpoints, failed.Errors)
	}
	expect("again after it failed", 1, all)
	mustDo(t, c, gcp.Action{Verb: gcp.Detach, ID: f.group.ID, Want: f.group, Endpoints: all})
	expect("when all are gone", 1, []gcp.Endpoint{})
	if group, _ := seen.Resources[f.group.ID].Spec.(gcp.Group); group.Endpoints == nil {
		t.Error("an empty group is one that was not read")
	}
}

func TestMachinesAreReadOnce(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	node := func(n string) string { return "gce://" + gcptest.Project + "/" + standZone + "/" + n }
	scope := gcp.Scope{Owner: standOwner, Nodes: []string{node("node-1"), node("node-2"), node("gone"), "kind://x", "gce://bad"}}
	calls := func() [2]int { return [2]int{c.Calls()["instances.list"], c.Calls()["instances.get"]} }
	seen := mustObserve(t, c, scope)
	want := map[string]gcp.Machine{
		node("node-1"): {
			Project: gcptest.Project, Zone: standZone, Name: "node-1", Network: standNetwork, Address: "10.0.0.1",
			Subnetwork: "projects/" + gcptest.Project + "/regions/europe-west1/subnetworks/sub", Tags: []string{"extra", "gke-a-node"},
		},
		node("gone"): {Project: gcptest.Project, Zone: standZone, Name: "gone", Missing: true},
	}
	want[node("node-2")] = func() gcp.Machine {
		m := want[node("node-1")]
		m.Name, m.Address = "node-2", "10.0.0.2"
		return m
	}()
	if diff := cmp.Diff(want, seen.Machines); diff != "" || calls() != [2]int{1, 1} {
		t.Errorf("calls %v, machines -want +got:\n%s", calls(), diff)
	}
	scope.Earlier = seen
	scope.Nodes = append(scope.Nodes, node("node-3"))
	seen = mustObserve(t, c, scope)
	if calls() != [2]int{1, 2} || seen.Machines[node("node-3")].Address != "10.0.0.3" {
		t.Errorf("a new node: calls %v, machine %+v", calls(), seen.Machines[node("node-3")])
	}

	// When they are due, all machines of the zone are read; a failed read changes nothing.
	scope.Earlier = seen
	c.zones[gcptest.Project+"/"+standZone] = time.Now().Add(-time.Second)
	server.RemoveInstance(gcptest.Project, standZone, "node-1")
	fault := server.Fault(gcetest.Fault{Method: `instances\..*`, Action: gcetest.Answer{Status: 403, Reason: "forbidden"}})
	failed := c.Observe(t.Context(), scope)
	if diff := cmp.Diff(seen.Machines, failed.Machines); diff != "" || len(failed.Errors) != 1 {
		t.Errorf("errors %v, machines -want +got:\n%s", failed.Errors, diff)
	}
	fault.Remove()
	scope.Earlier = failed
	seen = mustObserve(t, c, scope)
	if !seen.Machines[node("node-1")].Missing || seen.Machines[node("node-2")].Missing {
		t.Errorf("machines after one is gone: %+v", seen.Machines)
	}
	before := calls()
	scope.Earlier = seen
	mustObserve(t, c, scope)
	if calls() != before {
		t.Errorf("calls when nothing is due: %v, want %v", calls(), before)
	}
}

func TestFirewallOfASharedNetworkIsInItsProject(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	f := newFrontend(t)
	const shared = "projects/host/global/networks/shared"
	rule := withSpec(f.firewall, func(s *gcp.Firewall) { s.Network = shared })
	mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: rule.ID, Want: rule})
	if path := "projects/host/global/firewalls/web-fw"; len(server.History()[path]) != 1 {
		t.Errorf("history: %v", server.History())
	}
	seen := mustObserve(t, c, gcp.Scope{Network: shared})
	got := seen.Resources[rule.ID]
	if fields := gcp.Differences(rule.Spec, got.Spec); len(fields) > 0 {
		t.Errorf("differs in %v", fields)
	}
	if elsewhere := mustObserve(t, c, gcp.Scope{Network: "net"}); len(elsewhere.Resources) != 0 {
		t.Errorf("in our project: %v", elsewhere.Resources)
	}
	mustDo(t, c, gcp.Action{Verb: gcp.Delete, ID: rule.ID, Want: got})
	if left := mustObserve(t, c, gcp.Scope{Network: shared}).Resources; len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestObserveEndsWithItsContext(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	server.Fault(gcetest.Fault{Method: `urlMaps\.list`, Action: gcetest.Hang{}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	seen := c.Observe(ctx, gcp.Scope{Owner: standOwner})
	if seen.Complete[gcp.KindURLMap] || !seen.Complete[gcp.KindService] || len(seen.Errors) != 1 {
		t.Errorf("complete %v, errors %v", seen.Complete, seen.Errors)
	}
}

// Answers about some zones arrive before other zones are read.
func TestMachinesOfManyZonesAreReadConcurrently(t *testing.T) {
	server, c := newStandIn(t, gcetest.Options{})
	zone := func(i int) string { return fmt.Sprintf("europe-west%d-b", i+1) }
	for i := range 3 * readsAtOnce {
		server.AddZone(gcptest.Project, zone(i))
	}
	scope := gcp.Scope{Owner: standOwner}
	for range 2 { // the second time, the known machines decide which ones are read
		for i := range 3 * readsAtOnce {
			scope.Nodes = append(scope.Nodes, fmt.Sprintf("gce://%s/%s/node-%d", gcptest.Project, zone(i), len(scope.Nodes)))
		}
		scope.Earlier = mustObserve(t, c, scope)
		if got := len(scope.Earlier.Machines); got != len(scope.Nodes) {
			t.Errorf("%d machines are known of %d nodes", got, len(scope.Nodes))
		}
	}
}
