package gcetest

import (
	"testing"

	compute "google.golang.org/api/compute/v1"
)

func TestHealthFollowsTheFirewallAndTheMachine(t *testing.T) {
	tests := []struct {
		name       string
		harm, heal func(s *standIn)
		state      string
		n          int
	}{
		{"one of the two ranges", func(s *standIn) {
			s.done(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{SourceRanges: []string{"130.211.0.0/22"}}).Do())
		}, func(s *standIn) {
			s.done(s.api.Firewalls.Patch(project, "fw", probeRule("fw")).Do())
		}, "UNHEALTHY", 3},
		{"disabled", func(s *standIn) {
			s.done(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{Disabled: true}).Do())
		}, func(s *standIn) {
			s.done(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{ForceSendFields: []string{"Disabled"}}).Do())
		}, "UNHEALTHY", 3},
		{"another tag", func(s *standIn) {
			s.done(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{TargetTags: []string{"gke-two-node"}}).Do())
		}, func(s *standIn) {
			s.done(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{TargetTags: []string{"gke-one-node", "gke-two-node"}}).Do())
		}, "UNHEALTHY", 3},
		{"another port", func(s *standIn) {
			s.done(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{Allowed: []*compute.FirewallAllowed{{IPProtocol: "tcp", Ports: []string{"30081-30090"}}}}).Do())
		}, func(s *standIn) {
			s.done(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{Allowed: []*compute.FirewallAllowed{{IPProtocol: "tcp", Ports: []string{"30000-32767"}}}}).Do())
		}, "UNHEALTHY", 3},
		{"a denial of equal priority", func(s *standIn) {
			deny := &compute.Firewall{Name: "deny", Network: global("networks/vpc"), SourceRanges: []string{"35.191.12.0/24"}, Denied: []*compute.FirewallDenied{{IPProtocol: "all"}}}
			s.done(s.api.Firewalls.Insert(project, deny).Do())
		}, func(s *standIn) {
			s.done(s.api.Firewalls.Patch(project, "deny", &compute.Firewall{Priority: 1001}).Do())
		}, "UNHEALTHY", 3},
		{"deleted", func(s *standIn) {
			s.done(s.api.Firewalls.Delete(project, "fw").Do())
		}, func(s *standIn) {
			s.done(s.api.Firewalls.Insert(project, probeRule("fw")).Do())
		}, "UNHEALTHY", 3},
		{"a machine gone", func(s *standIn) {
			s.RemoveInstance(project, zone, "node-1")
		}, func(s *standIn) {
			s.SetInstance(Instance{Project: project, Zone: zone, Name: "node-1", Network: "vpc", Subnetwork: "nodes", Address: "10.0.0.1", Tags: []string{"gke-one-node"}})
		}, "UNHEALTHY", 1},
		{"a machine with another address", func(s *standIn) {
			s.SetInstance(Instance{Project: project, Zone: zone, Name: "node-1", Network: "vpc", Subnetwork: "nodes", Address: "10.0.0.9", Tags: []string{"gke-one-node"}})
		}, func(s *standIn) {
			s.SetInstance(Instance{Project: project, Zone: zone, Name: "node-1", Network: "vpc", Subnetwork: "nodes", Address: "10.0.0.1", Tags: []string{"gke-one-node"}})
		}, "UNHEALTHY", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, s := threeNodes(t)
			s.build()
			s.until("bs", "neg", "HEALTHY", 3)
			test.harm(s)
			s.until("bs", "neg", test.state, test.n)
			test.heal(s)
			s.until("bs", "neg", "HEALTHY", 3)
		})
	}
}

func TestHealthIsEmptyWithoutAForwardingRule(t *testing.T) {
	_, s := threeNodes(t)
	s.build()
	s.until("bs", "neg", "HEALTHY", 3)
	s.done(s.api.GlobalForwardingRules.Delete(project, "fr").Do())
	s.until("bs", "neg", "HEALTHY", 0)
	if got := s.health("bs", "neg"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	_, err := s.api.BackendServices.GetHealth(project, "bs", &compute.ResourceGroupReference{Group: "zones/" + zone + "/networkEndpointGroups/none"}).Do()
	wantRefusal(t, err, 400, reasonInvalid, "cannot be found")
}
