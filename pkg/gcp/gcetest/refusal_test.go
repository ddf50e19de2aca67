package gcetest

import (
	"fmt"
	"strings"
	"testing"

	compute "google.golang.org/api/compute/v1"
)

// refusalTest is a request about an existing load balancer, and the answer.
type refusalTest struct {
	name    string
	call    func(s *standIn) error
	code    int
	reason  string
	message string // a part of it
}

func runRefusals(t *testing.T, tests []refusalTest) {
	t.Helper()
	s := newStandIn(t, Options{Quotas: map[string]int{"healthChecks": 1}})
	s.build()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := len(s.Snapshot().Operations)
			wantRefusal(t, test.call(s), test.code, test.reason, test.message)
			if after := len(s.Snapshot().Operations); after != before {
				t.Error("a refused call led to an operation")
			}
		})
	}
}

// last drops the operation of a call.
func last[T any](_ T, err error) error { return err }

func TestWhatAllKindsRefuse(t *testing.T) {
	runRefusals(t, []refusalTest{
		{"absent", func(s *standIn) error { return last(s.api.UrlMaps.Get(project, "none").Do()) }, 404, "notFound", "urlMaps/none"},
		{"delete absent", func(s *standIn) error { return last(s.api.UrlMaps.Delete(project, "none").Do()) }, 404, "notFound", "urlMaps/none"},
		{"project", func(s *standIn) error { return last(s.api.UrlMaps.Get("nobody", "um").Do()) }, 404, "notFound", "nobody"},
		{"zone", func(s *standIn) error { return last(s.api.Instances.Get(project, "mars-1-a", "i").Do()) }, 400, "invalid", "Unknown zone"},
		{"exists", func(s *standIn) error { return last(s.api.Firewalls.Insert(project, probeRule("fw")).Do()) }, 409, "alreadyExists", "firewalls/fw"},
		{"name", func(s *standIn) error { return last(s.api.Firewalls.Insert(project, probeRule("Fw")).Do()) }, 400, "invalid", "regex"},
		{"name of 64", func(s *standIn) error {
			return last(s.api.Firewalls.Insert(project, probeRule(strings.Repeat("a", 64))).Do())
		}, 400, "invalid", "regex"},
		{"description", func(s *standIn) error {
			f := probeRule("long")
			f.Description = strings.Repeat("é", 2049)
			return last(s.api.Firewalls.Insert(project, f).Do())
		}, 400, "invalid", "2048"},
		{"quota", func(s *standIn) error { return last(s.api.HealthChecks.Insert(project, httpCheck("more")).Do()) }, 403, "quotaExceeded", "HEALTH_CHECKS"},
		{"request id", func(s *standIn) error { return last(s.api.UrlMaps.Delete(project, "um").RequestId("1").Do()) }, 400, "invalid", "UUID"},
		{"zero request id", func(s *standIn) error { return last(s.api.UrlMaps.Delete(project, "um").RequestId(zeroUUID).Do()) }, 400, "invalid", "UUID"},
		{"page size", func(s *standIn) error { return last(s.api.Firewalls.List(project).MaxResults(501).Do()) }, 400, "invalid", "maxResults"},
		{"page token", func(s *standIn) error { return last(s.api.Firewalls.List(project).PageToken("x").Do()) }, 400, "invalid", "pageToken"},
		{"filter", func(s *standIn) error { return last(s.api.Firewalls.List(project).Filter("name ~ x").Do()) }, 400, "invalid", "filter"},
		{"order", func(s *standIn) error { return last(s.api.Firewalls.List(project).OrderBy("size").Do()) }, 400, "invalid", "orderBy"},
		{"labels at insert", func(s *standIn) error {
			return last(s.api.GlobalAddresses.Insert(project, &compute.Address{Name: "two", Labels: map[string]string{"a": "b"}}).Do())
		}, 400, "invalid", "setLabels"},
		{"labels without lock", func(s *standIn) error {
			return last(s.api.GlobalAddresses.SetLabels(project, "ip", &compute.GlobalSetLabelsRequest{Labels: map[string]string{"a": "b"}}).Do())
		}, 412, "conditionNotMet", "labelFingerprint"},
		{"reference of another kind", func(s *standIn) error {
			return last(s.api.TargetHttpProxies.Insert(project, &compute.TargetHttpProxy{Name: "two", UrlMap: global("backendServices/bs")}).Do())
		}, 400, "invalid", "wrong kind"},
		{"another project", func(s *standIn) error {
			return last(s.api.TargetHttpProxies.Insert(project, &compute.TargetHttpProxy{Name: "two", UrlMap: "projects/x/global/urlMaps/um"}).Do())
		}, 400, "invalid", "Cross project"},
	})
}

func TestTheOrderOfDeletionIsKept(t *testing.T) {
	var tests []refusalTest
	for name, call := range map[string]func(s *standIn) error{
		"address":         func(s *standIn) error { return last(s.api.GlobalAddresses.Delete(project, "ip").Do()) },
		"health check":    func(s *standIn) error { return last(s.api.HealthChecks.Delete(project, "hc").Do()) },
		"endpoint group":  func(s *standIn) error { return last(s.api.NetworkEndpointGroups.Delete(project, zone, "neg").Do()) },
		"backend service": func(s *standIn) error { return last(s.api.BackendServices.Delete(project, "bs").Do()) },
		"URL map":         func(s *standIn) error { return last(s.api.UrlMaps.Delete(project, "um").Do()) },
		"proxy":           func(s *standIn) error { return last(s.api.TargetHttpProxies.Delete(project, "tp").Do()) },
	} {
		tests = append(tests, refusalTest{name, call, 400, "resourceInUseByAnotherResource", "already being used by"})
	}
	runRefusals(t, tests)
}

func TestChangesNeedTheFingerprintAndLeaveImmutableFields(t *testing.T) {
	runRefusals(t, []refusalTest{
		{"service without", func(s *standIn) error {
			return last(s.api.BackendServices.Patch(project, "bs", &compute.BackendService{TimeoutSec: 5}).Do())
		}, 412, "conditionNotMet", "fingerprint"},
		{"service stale", func(s *standIn) error {
			return last(s.api.BackendServices.Update(project, "bs", &compute.BackendService{Fingerprint: "AAAA"}).Do())
		}, 412, "conditionNotMet", "fingerprint"},
		{"map without", func(s *standIn) error {
			return last(s.api.UrlMaps.Patch(project, "um", &compute.UrlMap{Description: "x"}).Do())
		}, 412, "conditionNotMet", ""},
		{"proxy without", func(s *standIn) error {
			return last(s.api.TargetHttpProxies.Patch(project, "tp", &compute.TargetHttpProxy{Description: "x"}).Do())
		}, 412, "conditionNotMet", ""},
		{"rule without", func(s *standIn) error {
			return last(s.api.GlobalForwardingRules.Patch(project, "fr", &compute.ForwardingRule{NetworkTier: "PREMIUM"}).Do())
		}, 412, "conditionNotMet", ""},
		{"port range", func(s *standIn) error { return s.patchRule(&compute.ForwardingRule{PortRange: "81"}) }, 400, "invalid", "portRange"},
		{"address of a rule", func(s *standIn) error { return s.patchRule(&compute.ForwardingRule{IPAddress: "203.0.113.77"}) }, 400, "invalid", "IPAddress"},
		{"scheme of a rule", func(s *standIn) error { return s.patchRule(&compute.ForwardingRule{LoadBalancingScheme: "EXTERNAL"}) }, 400, "invalid", "loadBalancingScheme"},
		{"scheme of a service", func(s *standIn) error {
			return s.patchService(&compute.BackendService{LoadBalancingScheme: "EXTERNAL"})
		}, 400, "invalid", "loadBalancingScheme"},
		{"network of a firewall rule", func(s *standIn) error {
			return last(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{Network: global("networks/other")}).Do())
		}, 400, "invalid", "network"},
		{"name", func(s *standIn) error {
			return last(s.api.Firewalls.Patch(project, "fw", &compute.Firewall{Name: "other"}).Do())
		}, 400, "invalid", "name"},
	})
}

func (s *standIn) patchRule(r *compute.ForwardingRule) error {
	old, err := s.api.GlobalForwardingRules.Get(project, "fr").Do()
	if err != nil {
		return err
	}
	r.Fingerprint = old.Fingerprint
	return last(s.api.GlobalForwardingRules.Patch(project, "fr", r).Do())
}

func (s *standIn) patchService(b *compute.BackendService) error {
	old, err := s.api.BackendServices.Get(project, "bs").Do()
	if err != nil {
		return err
	}
	b.Fingerprint = old.Fingerprint
	return last(s.api.BackendServices.Patch(project, "bs", b).Do())
}

func (s *standIn) patchMap(m *compute.UrlMap) error {
	old, err := s.api.UrlMaps.Get(project, "um").Do()
	if err != nil {
		return err
	}
	m.Fingerprint = old.Fingerprint
	return last(s.api.UrlMaps.Patch(project, "um", m).Do())
}

func TestFirewallsAndHealthChecksAreChecked(t *testing.T) {
	firewall := func(change func(f *compute.Firewall)) func(s *standIn) error {
		return func(s *standIn) error {
			f := probeRule("two")
			change(f)
			return last(s.api.Firewalls.Insert(project, f).Do())
		}
	}
	check := func(change func(h *compute.HealthCheck)) func(s *standIn) error {
		return func(s *standIn) error {
			h := httpCheck("hc")
			change(h)
			return last(s.api.HealthChecks.Patch(project, "hc", h).Do())
		}
	}
	runRefusals(t, []refusalTest{
		{"network", firewall(func(f *compute.Firewall) { f.Network = global("networks/none") }), 400, "invalid", "cannot be found"},
		{"nothing allowed", firewall(func(f *compute.Firewall) { f.Allowed = nil }), 400, "invalid", "allowed"},
		{"range", firewall(func(f *compute.Firewall) { f.SourceRanges = []string{"130.211.0.1/22"} }), 400, "invalid", "130.211.0.1/22"},
		{"tag", firewall(func(f *compute.Firewall) { f.TargetTags = []string{"A"} }), 400, "invalid", "targetTags"},
		{"71 tags", firewall(func(f *compute.Firewall) {
			for i := range 70 {
				f.TargetTags = append(f.TargetTags, fmt.Sprintf("t%d", i))
			}
		}), 400, "invalid", "70"},
		{"blank in ports", firewall(func(f *compute.Firewall) { f.Allowed[0].Ports = []string{"80, 90"} }), 400, "invalid", "ports"},
		{"ports of icmp", firewall(func(f *compute.Firewall) { f.Allowed[0].IPProtocol = "icmp" }), 400, "invalid", "ports"},
		{"priority", firewall(func(f *compute.Firewall) { f.Priority = 65536 }), 400, "invalid", "65535"},
		{"timeout", check(func(h *compute.HealthCheck) { h.TimeoutSec = 6 }), 400, "invalid", "timeoutSec"},
		{"interval", check(func(h *compute.HealthCheck) { h.CheckIntervalSec = 301 }), 400, "invalid", "checkIntervalSec"},
		{"path", check(func(h *compute.HealthCheck) { h.HttpHealthCheck.RequestPath = "x" }), 400, "invalid", "requestPath"},
		{"port twice", check(func(h *compute.HealthCheck) { h.HttpHealthCheck.Port = 80 }), 400, "invalid", "USE_SERVING_PORT"},
		{"type", check(func(h *compute.HealthCheck) { h.Type = "TCP" }), 400, "invalid", "type"},
	})
}

func TestEndpointGroupsAreChecked(t *testing.T) {
	group := func(change func(g *compute.NetworkEndpointGroup)) func(s *standIn) error {
		return func(s *standIn) error {
			g := machineGroup("two")
			change(g)
			return last(s.api.NetworkEndpointGroups.Insert(project, zone, g).Do())
		}
	}
	attach := func(name string, endpoints ...*compute.NetworkEndpoint) func(s *standIn) error {
		return func(s *standIn) error {
			s.SetInstance(Instance{Project: project, Zone: zone, Name: "stranger", Network: "other", Subnetwork: "elsewhere", Address: "10.9.0.1"})
			in := &compute.NetworkEndpointGroupsAttachEndpointsRequest{NetworkEndpoints: endpoints}
			return last(s.api.NetworkEndpointGroups.AttachNetworkEndpoints(project, zone, name, in).Do())
		}
	}
	node := &compute.NetworkEndpoint{Instance: "node-1", IpAddress: "10.0.0.1", Port: 1}
	many := make([]*compute.NetworkEndpoint, 501)
	for i := range many {
		many[i] = node
	}
	runRefusals(t, []refusalTest{
		{"type", group(func(g *compute.NetworkEndpointGroup) { g.NetworkEndpointType = "SERVERLESS" }), 400, "invalid", "networkEndpointType"},
		{"no subnetwork", group(func(g *compute.NetworkEndpointGroup) { g.Subnetwork = "" }), 400, "invalid", "subnetwork"},
		{"subnetwork of addresses", group(func(g *compute.NetworkEndpointGroup) { g.NetworkEndpointType = typeAddresses }), 400, "invalid", "subnetwork"},
		{"subnetwork of another network", group(func(g *compute.NetworkEndpointGroup) {
			g.Subnetwork = "projects/fleet/regions/europe-west1/subnetworks/elsewhere"
		}), 400, "invalid", "network"},
		{"machine that is not there", attach("neg", &compute.NetworkEndpoint{Instance: "none", IpAddress: "10.0.0.1", Port: 1}), 400, "invalid", "cannot be found"},
		{"no machine", attach("neg", &compute.NetworkEndpoint{IpAddress: "10.0.0.1", Port: 1}), 400, "invalid", "instance"},
		{"another's address", attach("neg", &compute.NetworkEndpoint{Instance: "node-1", IpAddress: "10.0.0.2", Port: 1}), 400, "invalid", "doesn't belong"},
		{"another subnetwork", attach("neg", &compute.NetworkEndpoint{Instance: "stranger", IpAddress: "10.9.0.1", Port: 1}), 400, "invalid", "subnetwork"},
		{"no port", attach("neg", &compute.NetworkEndpoint{Instance: "node-1", IpAddress: "10.0.0.1"}), 400, "invalid", "port"},
		{"twice", attach("neg", node, node), 400, "invalid", "twice"},
		{"501", attach("neg", many...), 400, "invalid", "500"},
		{"none", attach("neg"), 400, "required", "networkEndpoints"},
		{"detach what is not attached", func(s *standIn) error {
			in := &compute.NetworkEndpointGroupsDetachEndpointsRequest{NetworkEndpoints: []*compute.NetworkEndpoint{node}}
			return last(s.api.NetworkEndpointGroups.DetachNetworkEndpoints(project, zone, "neg", in).Do())
		}, 400, "invalid", "not in the group"},
	})
}

func TestBackendServicesAreChecked(t *testing.T) {
	one := func(change func(b *compute.Backend)) func(s *standIn) error {
		return func(s *standIn) error {
			b := backend("neg")
			change(b)
			return s.patchService(&compute.BackendService{Backends: []*compute.Backend{b}})
		}
	}
	runRefusals(t, []refusalTest{
		{"group", one(func(b *compute.Backend) { b.Group += "x" }), 400, "invalid", "cannot be found"},
		{"mode", one(func(b *compute.Backend) { b.BalancingMode = "UTILIZATION" }), 400, "invalid", "balancingMode"},
		{"no rate", one(func(b *compute.Backend) { b.MaxRate = 0 }), 400, "invalid", "maxRate"},
		{"two rates", one(func(b *compute.Backend) { b.MaxRatePerEndpoint = 1 }), 400, "invalid", "maxRate"},
		{"rate of machines", one(func(b *compute.Backend) { b.MaxRate, b.MaxRatePerInstance = 0, 1 }), 400, "invalid", "maxRatePerInstance"},
		{"capacity", one(func(b *compute.Backend) { b.CapacityScaler = 0.05 }), 400, "invalid", "capacityScaler"},
		{"too much capacity", one(func(b *compute.Backend) { b.CapacityScaler = 1.5 }), 400, "invalid", "capacityScaler"},
		{"no capacity", one(func(b *compute.Backend) {
			b.CapacityScaler, b.ForceSendFields = 0, []string{"CapacityScaler"}
		}), 400, "invalid", "capacityScaler"},
		{"twice", func(s *standIn) error {
			return s.patchService(&compute.BackendService{Backends: []*compute.Backend{backend("neg"), backend("neg")}})
		}, 400, "invalid", "Duplicate"},
		{"no check", func(s *standIn) error {
			return s.patchService(&compute.BackendService{NullFields: []string{"HealthChecks"}})
		}, 400, "invalid", "health check"},
		{"draining", func(s *standIn) error {
			return s.patchService(&compute.BackendService{ConnectionDraining: &compute.ConnectionDraining{DrainingTimeoutSec: 3601}})
		}, 400, "invalid", "drainingTimeoutSec"},
		{"protocol", func(s *standIn) error { return s.patchService(&compute.BackendService{Protocol: "TCP"}) }, 400, "invalid", "protocol"},
	})
}

func TestAServiceHasAtMostFiftyGroupsOfOneKind(t *testing.T) {
	s := newStandIn(t, Options{})
	s.build()
	backends := []*compute.Backend{}
	for i := range 51 {
		name := fmt.Sprintf("g%d", i)
		s.done(s.api.NetworkEndpointGroups.Insert(project, zone, machineGroup(name)).Do())
		backends = append(backends, backend(name))
	}
	wantRefusal(t, s.patchService(&compute.BackendService{Backends: backends}), 400, reasonInvalid, "50")
	if err := s.patchService(&compute.BackendService{Backends: backends[:50]}); err != nil {
		t.Error(err)
	}
	s.done(s.api.InstanceGroups.Insert(project, zone, &compute.InstanceGroup{Name: "ig"}).Do())
	machines := &compute.Backend{Group: "zones/" + zone + "/instanceGroups/ig", BalancingMode: "RATE", MaxRatePerInstance: 1}
	mixed := service("mixed", "neg")
	mixed.Backends = append(mixed.Backends, machines)
	wantRefusal(t, last(s.api.BackendServices.Insert(project, mixed).Do()), 400, reasonInvalid, "mixed")
}
