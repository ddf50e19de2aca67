package gcetest

import (
	"testing"

	compute "google.golang.org/api/compute/v1"
)

func TestALoadBalancerIsBuiltAndTakenDownInOrder(t *testing.T) {
	s := newStandIn(t, Options{})
	s.build()
	if _, err := s.api.GlobalAddresses.Delete(project, "ip").Do(); true {
		wantRefusal(t, err, 400, reasonInUse, "fr")
	}
	rules, err := s.api.GlobalForwardingRules.Get(project, "fr").Do()
	if err != nil {
		t.Fatal(err)
	}
	s.done(s.api.GlobalForwardingRules.SetLabels(project, "fr", &compute.GlobalSetLabelsRequest{
		Labels: map[string]string{"fedsync": "one"}, LabelFingerprint: rules.LabelFingerprint,
	}).Do())
	s.done(s.api.GlobalForwardingRules.Delete(project, "fr").Do())
	s.done(s.api.TargetHttpProxies.Delete(project, "tp").Do())
	s.done(s.api.UrlMaps.Delete(project, "um").Do())
	s.done(s.api.BackendServices.Delete(project, "bs").Do())
	s.done(s.api.HealthChecks.Delete(project, "hc").Do())
	s.done(s.api.NetworkEndpointGroups.Delete(project, zone, "neg").Do())
	s.done(s.api.Firewalls.Delete(project, "fw").Do())
	s.done(s.api.GlobalAddresses.Delete(project, "ip").Do())
	left := s.Snapshot()
	if n := len(left.Addresses) + len(left.Firewalls) + len(left.BackendServices) + len(left.ForwardingRules) + len(left.EndpointGroups); n != 0 {
		t.Errorf("%d resources are left", n)
	}
	for path, changes := range s.History() {
		if len(changes) < 2 || changes[len(changes)-1].Method[len(changes[len(changes)-1].Method)-6:] != "delete" {
			t.Errorf("history of %s: %+v", path, changes)
		}
	}
}
