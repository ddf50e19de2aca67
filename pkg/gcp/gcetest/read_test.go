package gcetest

import (
	"fmt"
	"slices"
	"testing"

	compute "google.golang.org/api/compute/v1"
)

func TestListsArePagedAndFiltered(t *testing.T) {
	s := newStandIn(t, Options{})
	for i := range 5 {
		f := probeRule(fmt.Sprintf("fw-%d", i))
		f.Description = fmt.Sprintf(`{"n":%d}`, i)
		s.done(s.api.Firewalls.Insert(project, f).Do())
	}
	s.done(s.api.Firewalls.Insert(project, probeRule("other")).Do())
	names := func(l *compute.FirewallList) []string {
		var out []string
		for _, f := range l.Items {
			out = append(out, f.Name)
		}
		return out
	}
	var pages [][]string
	err := s.api.Firewalls.List(project).MaxResults(4).Pages(t.Context(), func(l *compute.FirewallList) error {
		pages = append(pages, names(l))
		return nil
	})
	if err != nil || len(pages) != 2 || len(pages[0]) != 4 || !slices.Equal(pages[1], []string{"fw-4", "other"}) {
		t.Errorf("pages %v, %v", pages, err)
	}
	for filter, want := range map[string][]string{
		"name eq fw-[12]":                      {"fw-1", "fw-2"},
		"name ne fw-.*":                        {"other"},
		"name:fw-1*":                           {"fw-1"},
		"name = other":                         {"other"},
		`name != "other" AND name : "*-3"`:     {"fw-3"},
		`description : "\"n\":3"`:              nil,
		"direction=INGRESS name=fw-0":          {"fw-0"},
		"(name = fw-2) (disabled = false)":     {"fw-2"},
		"logConfig.enable=false AND name=fw-4": {"fw-4"},
	} {
		got, err := s.api.Firewalls.List(project).Filter(filter).Do()
		if want == nil {
			wantRefusal(t, err, 400, reasonInvalid, "filter")
			continue
		}
		if err != nil || !slices.Equal(names(got), want) {
			t.Errorf("%s: got %v, %v, want %v", filter, got, err, want)
		}
	}
}

func TestAggregatedListsNameEveryScope(t *testing.T) {
	s := newStandIn(t, Options{})
	s.group("neg", 30080)
	got, err := s.api.NetworkEndpointGroups.AggregatedList(project).IncludeAllScopes(true).Do()
	if err != nil {
		t.Fatal(err)
	}
	b, c := got.Items["zones/"+zone], got.Items["zones/europe-west1-c"]
	if len(got.Items) != 2 || len(b.NetworkEndpointGroups) != 1 || b.NetworkEndpointGroups[0].Size != 3 || b.Warning != nil {
		t.Errorf("got %+v", got.Items)
	}
	if c.Warning == nil || c.Warning.Code != "NO_RESULTS_ON_PAGE" {
		t.Errorf("the empty zone has %+v", c)
	}
	machines, err := s.api.Instances.AggregatedList(project).MaxResults(2).Do()
	if err != nil || len(machines.Items["zones/"+zone].Instances) != 2 || machines.NextPageToken == "" {
		t.Errorf("machines %+v, %v", machines, err)
	}
	subnetworks, err := s.api.Subnetworks.AggregatedList(project).Do()
	if err != nil || len(subnetworks.Items["regions/europe-west1"].Subnetworks) != 2 {
		t.Errorf("subnetworks %+v, %v", subnetworks, err)
	}
}

func TestEndpointsAreListed(t *testing.T) {
	s := newStandIn(t, Options{})
	s.group("neg", 30080)
	s.done(s.api.NetworkEndpointGroups.AttachNetworkEndpoints(project, zone, "neg", &compute.NetworkEndpointGroupsAttachEndpointsRequest{
		NetworkEndpoints: []*compute.NetworkEndpoint{{Instance: "zones/" + zone + "/instances/node-1", Port: 30080}}, // that is there
	}).Do())
	var got []string
	err := s.api.NetworkEndpointGroups.ListNetworkEndpoints(project, zone, "neg", &compute.NetworkEndpointGroupsListEndpointsRequest{}).
		MaxResults(2).Pages(t.Context(), func(l *compute.NetworkEndpointGroupsListNetworkEndpoints) error {
		for _, e := range l.Items {
			got = append(got, fmt.Sprintf("%s %s:%d", e.NetworkEndpoint.Instance, e.NetworkEndpoint.IpAddress, e.NetworkEndpoint.Port))
		}
		return nil
	})
	if want := []string{"node-1 10.0.0.1:30080", "node-2 10.0.0.2:30080", "node-3 10.0.0.3:30080"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	s.RemoveInstance(project, zone, "node-1")
	s.done(s.api.NetworkEndpointGroups.DetachNetworkEndpoints(project, zone, "neg", &compute.NetworkEndpointGroupsDetachEndpointsRequest{
		NetworkEndpoints: []*compute.NetworkEndpoint{{Instance: "node-1", IpAddress: "10.0.0.1", Port: 30080}},
	}).Do())
	group, err := s.api.NetworkEndpointGroups.Get(project, zone, "neg").Do()
	if err != nil || group.Size != 2 {
		t.Errorf("got %+v, %v", group, err)
	}
}

func TestAnAddressShowsItsUsers(t *testing.T) {
	s := newStandIn(t, Options{})
	ip := s.build()
	address, err := s.api.GlobalAddresses.Get(project, "ip").Do()
	if err != nil || address.Status != "IN_USE" || len(address.Users) != 1 || address.LabelFingerprint == "" {
		t.Fatalf("got %+v, %v", address, err)
	}
	s.done(s.api.GlobalAddresses.SetLabels(project, "ip", &compute.GlobalSetLabelsRequest{
		Labels: map[string]string{"fedsync": "one"}, LabelFingerprint: address.LabelFingerprint,
	}).Do())
	s.done(s.api.GlobalForwardingRules.Delete(project, "fr").Do())
	address, err = s.api.GlobalAddresses.Get(project, "ip").Do()
	if err != nil || address.Status != "RESERVED" || len(address.Users) != 0 || address.Labels["fedsync"] != "one" || address.Address != ip {
		t.Errorf("got %+v, %v", address, err)
	}
}

func TestTheProjectShowsItsQuotas(t *testing.T) {
	s := newStandIn(t, Options{Quotas: map[string]int{"backendServices": 7}, Denied: []string{"compute.firewalls.create"}})
	s.build()
	got, err := s.api.Projects.Get(project).Do()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(got.Quotas, func(q *compute.Quota) bool { return q.Metric == "BACKEND_SERVICES" })
	if i < 0 || got.Quotas[i].Limit != 7 || got.Quotas[i].Usage != 1 {
		t.Errorf("quotas %+v", got.Quotas)
	}
	granted, err := s.api.Firewalls.TestIamPermissions(project, "fw", &compute.TestPermissionsRequest{
		Permissions: []string{"compute.firewalls.create", "compute.firewalls.get"},
	}).Do()
	if err != nil || !slices.Equal(granted.Permissions, []string{"compute.firewalls.get"}) {
		t.Errorf("granted %v, %v", granted, err)
	}
}
