package gcetest

import (
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// instances returns references to machines, given by name.
func instances(names ...string) []*compute.InstanceReference {
	var out []*compute.InstanceReference
	for _, name := range names {
		out = append(out, &compute.InstanceReference{Instance: "projects/" + project + "/zones/" + zone + "/instances/" + name})
	}
	return out
}

func TestInstanceGroupsServeAtTheirNamedPort(t *testing.T) {
	n := newNodes(t, 30080, "10.0.0.1", "10.0.0.2")
	s := newStandIn(t, Options{Dial: n.dial, ProbeInterval: 10 * time.Millisecond})
	add := func(group string, names ...string) error {
		op, err := s.api.InstanceGroups.AddInstances(project, zone, group, &compute.InstanceGroupsAddInstancesRequest{Instances: instances(names...)}).Do()
		if err == nil {
			err = s.wait(op)
		}
		return err
	}
	check := &compute.HealthCheck{Name: "hc", Type: "HTTP", HttpHealthCheck: &compute.HTTPHealthCheck{Port: 30080, RequestPath: "/healthz"}}
	s.done(s.api.HealthChecks.Insert(project, check).Do())
	s.done(s.api.Firewalls.Insert(project, probeRule("fw")).Do())
	for _, name := range []string{"ig", "ig2"} {
		s.done(s.api.InstanceGroups.Insert(project, zone, &compute.InstanceGroup{Name: name, NamedPorts: []*compute.NamedPort{{Name: "port30080", Port: 30080}}}).Do())
	}
	if err := add("ig", "node-1", "node-2"); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, add("ig", "node-1"), 400, "memberAlreadyExists", "node-1")
	if err := add("ig2", "node-1"); err != nil {
		t.Fatal(err) // it is not load-balanced yet
	}
	bs := service("bs")
	bs.LoadBalancingScheme, bs.PortName = schemeClassic, "port30080"
	bs.Backends = []*compute.Backend{{Group: "zones/" + zone + "/instanceGroups/ig", BalancingMode: "RATE", MaxRatePerInstance: 1}}
	s.done(s.api.BackendServices.Insert(project, bs).Do())
	second := service("second")
	second.LoadBalancingScheme = schemeClassic
	second.Backends = []*compute.Backend{{Group: "zones/" + zone + "/instanceGroups/ig2"}}
	wantRefusal(t, last(s.api.BackendServices.Insert(project, second).Do()), 400, "instanceInMultipleLoadBalancedIgs", "node-1")
	s.done(s.api.InstanceGroups.RemoveInstances(project, zone, "ig2", &compute.InstanceGroupsRemoveInstancesRequest{Instances: instances("node-1")}).Do())
	s.done(s.api.BackendServices.Insert(project, second).Do())
	wantRefusal(t, add("ig2", "node-1"), 400, "instanceInMultipleLoadBalancedIgs", "node-1")

	s.done(s.api.UrlMaps.Insert(project, &compute.UrlMap{Name: "um", DefaultService: global("backendServices/bs")}).Do())
	s.done(s.api.TargetHttpProxies.Insert(project, &compute.TargetHttpProxy{Name: "tp", UrlMap: global("urlMaps/um")}).Do())
	fr := rule("fr", "tp")
	fr.LoadBalancingScheme, fr.IPAddress = schemeClassic, "" // any address
	s.done(s.api.GlobalForwardingRules.Insert(project, fr).Do())
	got, err := s.api.GlobalForwardingRules.Get(project, "fr").Do()
	if err != nil || got.IPAddress == "" || got.PortRange != "80-80" {
		t.Fatalf("got %+v, %v", got, err)
	}
	s.done(s.api.GlobalAddresses.Insert(project, &compute.Address{Name: "kept", Address: got.IPAddress}).Do())
	for _, node := range []string{"10.0.0.1", "10.0.0.2"} {
		s.untilNode("bs", "zones/"+zone+"/instanceGroups/ig", node)
	}
	if code, body, _ := s.get("http://"+got.IPAddress+"/", ""); code != 200 {
		t.Errorf("got %d %s", code, body)
	}
	listed, err := s.api.InstanceGroups.ListInstances(project, zone, "ig", &compute.InstanceGroupsListInstancesRequest{InstanceState: "RUNNING"}).Do()
	if err != nil || len(listed.Items) != 2 || listed.Items[0].NamedPorts[0].Port != 30080 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	s.RemoveInstance(project, zone, "node-2")
	group, err := s.api.InstanceGroups.Get(project, zone, "ig").Do()
	if err != nil || group.Size != 1 {
		t.Errorf("after the machine is gone: %+v, %v", group, err)
	}
	wantRefusal(t, last(s.api.InstanceGroups.SetNamedPorts(project, zone, "ig", &compute.InstanceGroupsSetNamedPortsRequest{Fingerprint: "AAAA"}).Do()), 412, reasonConditionFail, "")
	s.done(s.api.InstanceGroups.SetNamedPorts(project, zone, "ig", &compute.InstanceGroupsSetNamedPortsRequest{
		NamedPorts: []*compute.NamedPort{{Name: "port30081", Port: 30081}},
	}).Do())
}

// untilNode waits until an address of a group is healthy.
func (s *standIn) untilNode(serviceName, group, address string) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for {
		got, err := s.api.BackendServices.GetHealth(project, serviceName, &compute.ResourceGroupReference{Group: group}).Do()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, h := range got.HealthStatus {
			if h.IpAddress == address && h.HealthState == "HEALTHY" && h.Instance != "" {
				return
			}
		}
		select {
		case <-tick.C:
		case <-limit:
			s.t.Fatalf("%s is not healthy: %+v", address, got.HealthStatus)
		}
	}
}
