package gcetest

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	compute "google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

const project, zone = "fleet", "europe-west1-b"

// standIn is a stand-in with a network, three machines and a client.
type standIn struct {
	*Server
	t   *testing.T
	api *compute.Service
}

func newStandIn(t *testing.T, o Options) *standIn {
	t.Helper()
	if o.Projects == nil {
		o.Projects = []string{project}
	}
	s := New(o)
	t.Cleanup(s.Close)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	api, err := compute.NewService(t.Context(), option.WithEndpoint(s.URL()), option.WithoutAuthentication(),
		option.WithHTTPClient(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}))
	if err != nil {
		t.Fatal(err)
	}
	s.AddNetwork(project, "default")
	s.AddNetwork(project, "vpc")
	s.AddNetwork(project, "other")
	s.AddSubnetwork(project, "europe-west1", "nodes", "vpc")
	s.AddSubnetwork(project, "europe-west1", "elsewhere", "other")
	s.AddZone(project, "europe-west1-c")
	for i, name := range []string{"node-1", "node-2", "node-3"} {
		s.SetInstance(Instance{
			Project: project, Zone: zone, Name: name, Network: "vpc", Subnetwork: "nodes",
			Address: "10.0.0." + string(rune('1'+i)), Tags: []string{"gke-one-node"},
		})
	}
	return &standIn{Server: s, t: t, api: api}
}

// done waits for an operation and fails the test if it was refused or failed.
func (s *standIn) done(op *compute.Operation, err error) {
	s.t.Helper()
	if err == nil {
		err = s.wait(op)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *standIn) wait(op *compute.Operation) error {
	var err error
	for op.Status != statusDone {
		if op.Zone != "" {
			op, err = s.api.ZoneOperations.Wait(project, parseZone(op.Zone), op.Name).Context(s.t.Context()).Do()
		} else {
			op, err = s.api.GlobalOperations.Wait(project, op.Name).Context(s.t.Context()).Do()
		}
		if err != nil {
			return err
		}
	}
	if op.Error != nil {
		return errors.New(op.Error.Errors[0].Code)
	}
	return nil
}

// wantRefusal checks the code, the reason and a part of the message of an error.
func wantRefusal(t *testing.T, err error, code int, reason, message string) {
	t.Helper()
	var api *googleapi.Error
	if !errors.As(err, &api) {
		t.Errorf("got %v, want a refusal %d %s", err, code, reason)
		return
	}
	if api.Code != code || len(api.Errors) != 1 || api.Errors[0].Reason != reason || !strings.Contains(api.Message, message) {
		t.Errorf("got %d %+v, want %d %s with %q", api.Code, api.Errors, code, reason, message)
	}
}

// build creates a load balancer over one group of the three machines at port 30080:
// address "ip", firewall rule "fw", check "hc", group "neg", service "bs", map "um",
// proxy "tp", rule "fr". It returns the address.
func (s *standIn) build() string {
	s.t.Helper()
	api := s.api
	s.done(api.GlobalAddresses.Insert(project, &compute.Address{Name: "ip", IpVersion: "IPV4"}).Do())
	s.done(api.Firewalls.Insert(project, probeRule("fw")).Do())
	s.done(api.HealthChecks.Insert(project, httpCheck("hc")).Do())
	s.group("neg", 30080)
	s.done(api.BackendServices.Insert(project, service("bs", "neg")).Do())
	s.done(api.UrlMaps.Insert(project, &compute.UrlMap{Name: "um", DefaultService: global("backendServices/bs")}).Do())
	s.done(api.TargetHttpProxies.Insert(project, &compute.TargetHttpProxy{Name: "tp", UrlMap: global("urlMaps/um")}).Do())
	s.done(api.GlobalForwardingRules.Insert(project, rule("fr", "tp")).Do())
	address, err := api.GlobalAddresses.Get(project, "ip").Do()
	if err != nil {
		s.t.Fatal(err)
	}
	return address.Address
}

// group creates an endpoint group of the three machines at a port.
func (s *standIn) group(name string, port int64) {
	s.t.Helper()
	s.done(s.api.NetworkEndpointGroups.Insert(project, zone, machineGroup(name)).Do())
	s.done(s.api.NetworkEndpointGroups.AttachNetworkEndpoints(project, zone, name, &compute.NetworkEndpointGroupsAttachEndpointsRequest{
		NetworkEndpoints: []*compute.NetworkEndpoint{
			{Instance: "node-1", IpAddress: "10.0.0.1", Port: port},
			{Instance: "node-2", IpAddress: "10.0.0.2", Port: port},
			{Instance: "node-3", IpAddress: "10.0.0.3", Port: port},
		},
	}).Do())
}

func global(rest string) string { return "projects/" + project + "/global/" + rest }

func probeRule(name string) *compute.Firewall {
	return &compute.Firewall{
		Name: name, Network: global("networks/vpc"), SourceRanges: []string{"130.211.0.0/22", "35.191.0.0/16"},
		Allowed: []*compute.FirewallAllowed{{IPProtocol: "tcp", Ports: []string{"30080"}}}, TargetTags: []string{"gke-one-node"},
	}
}

func httpCheck(name string) *compute.HealthCheck {
	return &compute.HealthCheck{
		Name: name, Type: "HTTP", HttpHealthCheck: &compute.HTTPHealthCheck{RequestPath: "/healthz", PortSpecification: "USE_SERVING_PORT"},
		CheckIntervalSec: 5, TimeoutSec: 5, HealthyThreshold: 1, UnhealthyThreshold: 2,
	}
}

func machineGroup(name string) *compute.NetworkEndpointGroup {
	return &compute.NetworkEndpointGroup{
		Name: name, NetworkEndpointType: typeMachines, Network: global("networks/vpc"),
		Subnetwork: "projects/" + project + "/regions/europe-west1/subnetworks/nodes",
	}
}

func backend(group string) *compute.Backend {
	return &compute.Backend{
		Group:         "projects/" + project + "/zones/" + zone + "/networkEndpointGroups/" + group,
		BalancingMode: "RATE", MaxRate: 100, CapacityScaler: 1,
	}
}

func service(name string, groups ...string) *compute.BackendService {
	b := &compute.BackendService{
		Name: name, Protocol: "HTTP", LoadBalancingScheme: schemeManaged, HealthChecks: []string{global("healthChecks/hc")},
		TimeoutSec: 30,
	}
	for _, group := range groups {
		b.Backends = append(b.Backends, backend(group))
	}
	return b
}

func rule(name, proxy string) *compute.ForwardingRule {
	return &compute.ForwardingRule{
		Name: name, IPAddress: global("addresses/ip"), IPProtocol: "TCP", PortRange: "80", NetworkTier: "PREMIUM",
		Target: global("targetHttpProxies/" + proxy), LoadBalancingScheme: schemeManaged,
	}
}
