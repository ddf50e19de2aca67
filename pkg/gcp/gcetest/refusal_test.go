package gcetest

import (
	"fmt"
	"strings"
	"testing"

	compute "google.golang.org/api/compute/v1"
)

// refusalTest is one request to a load balancer that stands, and what is answered.
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

func TestChangesNeedTheLockAndKeepWhatIsImmutable(t *testing.T) {
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
		{"no capacity at all", one(func(b *compute.Backend) {
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

func TestFiftyGroupsAndNoneOfAnotherKind(t *testing.T) {
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

func TestURLMapsAreChecked(t *testing.T) {
	bs := global("backendServices/bs")
	matcher := func(p *compute.PathMatcher) func(s *standIn) error {
		p.Name = "p"
		return func(s *standIn) error {
			return s.patchMap(&compute.UrlMap{
				HostRules: []*compute.HostRule{{Hosts: []string{"a.example"}, PathMatcher: "p"}}, PathMatchers: []*compute.PathMatcher{p},
			})
		}
	}
	path := func(paths ...string) func(s *standIn) error {
		return matcher(&compute.PathMatcher{DefaultService: bs, PathRules: []*compute.PathRule{{Paths: paths, Service: bs}}})
	}
	hosts := func(hosts ...string) func(s *standIn) error {
		return func(s *standIn) error {
			return s.patchMap(&compute.UrlMap{
				HostRules: []*compute.HostRule{{Hosts: hosts, PathMatcher: "p"}}, PathMatchers: []*compute.PathMatcher{{Name: "p", DefaultService: bs}},
			})
		}
	}
	redirect := &compute.HttpRedirectAction{HttpsRedirect: true}
	prefix := []*compute.HttpRouteRuleMatch{{PrefixMatch: "/"}}
	runRefusals(t, []refusalTest{
		{"service", func(s *standIn) error { return s.patchMap(&compute.UrlMap{DefaultService: bs + "x"}) }, 400, "invalid", "cannot be found"},
		{"no default", func(s *standIn) error { return s.patchMap(&compute.UrlMap{NullFields: []string{"DefaultService"}}) }, 400, "invalid", "required"},
		{"both defaults", func(s *standIn) error { return s.patchMap(&compute.UrlMap{DefaultUrlRedirect: redirect}) }, 400, "invalid", "combined"},
		{"host twice", hosts("a.example", "a.example"), 400, "invalid", "twice"},
		{"host", hosts("a.*.example"), 400, "invalid", "host name"},
		{"unknown matcher", func(s *standIn) error {
			return s.patchMap(&compute.UrlMap{HostRules: []*compute.HostRule{{Hosts: []string{"a"}, PathMatcher: "q"}}})
		}, 400, "invalid", "no such path matcher"},
		{"unused matcher", func(s *standIn) error {
			return s.patchMap(&compute.UrlMap{PathMatchers: []*compute.PathMatcher{{Name: "p", DefaultService: bs}}})
		}, 400, "invalid", "No host rule"},
		{"star within", path("/a*"), 400, "invalid", "paths"},
		{"star in the middle", path("/*/a"), 400, "invalid", "paths"},
		{"no slash", path("a"), 400, "invalid", "paths"},
		{"query", path("/a?b"), 400, "invalid", "paths"},
		{"path twice", path("/a", "/a"), 400, "invalid", "twice"},
		{"no path", path(), 400, "invalid", "path is required"},
		{"both rules", matcher(&compute.PathMatcher{
			DefaultService: bs, PathRules: []*compute.PathRule{{Paths: []string{"/"}, Service: bs}},
			RouteRules: []*compute.HttpRouteRule{{Priority: 1, Service: bs, MatchRules: prefix}},
		}), 400, "invalid", "combined"},
		{"priorities", matcher(&compute.PathMatcher{DefaultService: bs, RouteRules: []*compute.HttpRouteRule{
			{Priority: 1, Service: bs, MatchRules: prefix}, {Priority: 1, Service: bs, MatchRules: prefix},
		}}), 400, "invalid", "priority"},
		{"redirect and action", matcher(&compute.PathMatcher{DefaultUrlRedirect: redirect, DefaultRouteAction: &compute.HttpRouteAction{}}), 400, "invalid", "combined"},
		{"abort without a service", matcher(&compute.PathMatcher{DefaultRouteAction: abort404()}), 400, "invalid", "required"},
	})
}

func abort404() *compute.HttpRouteAction {
	return &compute.HttpRouteAction{FaultInjectionPolicy: &compute.HttpFaultInjection{Abort: &compute.HttpFaultAbort{HttpStatus: 404, Percentage: 100}}}
}

func TestURLMapsAreTestedAndKeepTheScheme(t *testing.T) {
	s := newStandIn(t, Options{})
	s.build()
	classic := service("classic")
	classic.LoadBalancingScheme = schemeClassic
	s.done(s.api.BackendServices.Insert(project, classic).Do())
	s.done(s.api.BackendServices.Insert(project, service("empty")).Do())
	to := func(name string) *compute.UrlMap {
		return &compute.UrlMap{DefaultService: global("backendServices/" + name)}
	}
	wantRefusal(t, s.patchMap(to("classic")), 400, reasonInvalid, "loadBalancingScheme")
	wrong := to("bs")
	wrong.Tests = []*compute.UrlMapTest{{Host: "a", Path: "/", Service: global("backendServices/empty")}}
	wantRefusal(t, s.patchMap(wrong), 400, reasonInvalid, "test failed")
	abort := to("classic")
	abort.DefaultRouteAction = abort404()
	abort.Name = "abort"
	wantRefusal(t, last(s.api.UrlMaps.Insert(project, abort).Do()), 400, reasonInvalid, "EXTERNAL_MANAGED")

	validate := func(m *compute.UrlMap) *compute.UrlMapValidationResult {
		got, err := s.api.UrlMaps.Validate(project, "um", &compute.UrlMapsValidateRequest{Resource: m}).Do()
		if err != nil {
			t.Fatal(err)
		}
		return got.Result
	}
	if got := validate(wrong); !got.LoadSucceeded || got.TestPassed || len(got.TestFailures) != 1 {
		t.Errorf("validate answers %+v of a failing test", got)
	}
	if got := validate(to("none")); got.LoadSucceeded || len(got.LoadErrors) != 1 {
		t.Errorf("validate answers %+v of a service that is not there", got)
	}
	if got := validate(to("empty")); !got.LoadSucceeded || !got.TestPassed {
		t.Errorf("validate answers %+v of a good map", got)
	}
}

func TestProxiesCertificatesAndForwardingRulesAreChecked(t *testing.T) {
	insert := func(change func(r *compute.ForwardingRule)) func(s *standIn) error {
		return func(s *standIn) error {
			r := rule("two", "tp")
			r.PortRange = "8080"
			change(r)
			return last(s.api.GlobalForwardingRules.Insert(project, r).Do())
		}
	}
	runRefusals(t, []refusalTest{
		{"proxy without a map", func(s *standIn) error {
			return last(s.api.TargetHttpProxies.Insert(project, &compute.TargetHttpProxy{Name: "two"}).Do())
		}, 400, "required", "urlMap"},
		{"proxy to no map", func(s *standIn) error {
			return last(s.api.TargetHttpProxies.SetUrlMap(project, "tp", &compute.UrlMapReference{UrlMap: global("urlMaps/none")}).Do())
		}, 400, "invalid", "cannot be found"},
		{"HTTPS without certificates", func(s *standIn) error {
			return last(s.api.TargetHttpsProxies.Insert(project, &compute.TargetHttpsProxy{Name: "tps", UrlMap: global("urlMaps/um")}).Do())
		}, 400, "invalid", "sslCertificates"},
		{"certificate", func(s *standIn) error {
			return last(s.api.SslCertificates.Insert(project, &compute.SslCertificate{Name: "c", Certificate: "x", PrivateKey: "y"}).Do())
		}, 400, "sslCertificateCouldNotParseCert", "parsed"},
		{"key of another", func(s *standIn) error {
			chain, _ := pemPair(s.t, "a.example")
			_, secret := pemPair(s.t, "a.example")
			return last(s.api.SslCertificates.Insert(project, &compute.SslCertificate{Name: "c", Certificate: chain, PrivateKey: secret}).Do())
		}, 400, "sslCertificateKeyMismatch", "match"},
		{"no key", func(s *standIn) error {
			chain, _ := pemPair(s.t, "a.example")
			return last(s.api.SslCertificates.Insert(project, &compute.SslCertificate{Name: "c", Certificate: chain}).Do())
		}, 400, "required", "privateKey"},
		{"port taken", insert(func(r *compute.ForwardingRule) { r.PortRange = "80-80" }), 400, "invalid", "Specified IP address is in-use"},
		{"address not reserved", insert(func(r *compute.ForwardingRule) { r.IPAddress = "192.0.2.1" }), 400, "invalid", "not reserved"},
		{"address by name", insert(func(r *compute.ForwardingRule) { r.IPAddress = global("addresses/none") }), 400, "invalid", "cannot be found"},
		{"two ports", insert(func(r *compute.ForwardingRule) { r.PortRange = "80-81" }), 400, "invalid", "exactly one port"},
		{"target", insert(func(r *compute.ForwardingRule) { r.Target = "" }), 400, "required", "target"},
		{"scheme", insert(func(r *compute.ForwardingRule) { r.LoadBalancingScheme = "" }), 400, "invalid", "loadBalancingScheme"},
		{"address", func(s *standIn) error {
			return last(s.api.GlobalAddresses.Insert(project, &compute.Address{Name: "two", Address: "203.0.113.10"}).Do())
		}, 400, "invalid", "already reserved"},
	})
}

func TestATargetKeepsItsType(t *testing.T) {
	s := newStandIn(t, Options{})
	s.build()
	chain, secret := pemPair(t, "a.example")
	s.done(s.api.SslCertificates.Insert(project, &compute.SslCertificate{Name: "c", Certificate: chain, PrivateKey: secret}).Do())
	proxy := &compute.TargetHttpsProxy{Name: "tps", UrlMap: global("urlMaps/um"), SslCertificates: []string{global("sslCertificates/c")}}
	s.done(s.api.TargetHttpsProxies.Insert(project, proxy).Do())
	err := last(s.api.GlobalForwardingRules.SetTarget(project, "fr", &compute.TargetReference{Target: global("targetHttpsProxies/tps")}).Do())
	wantRefusal(t, err, 400, reasonInvalid, "of the type")
	proxy.Name = "many"
	for i := range 15 {
		name := fmt.Sprintf("c%d", i)
		s.done(s.api.SslCertificates.Insert(project, &compute.SslCertificate{Name: name, Certificate: chain, PrivateKey: secret}).Do())
		proxy.SslCertificates = append(proxy.SslCertificates, global("sslCertificates/"+name))
	}
	wantRefusal(t, last(s.api.TargetHttpsProxies.Insert(project, proxy).Do()), 400, reasonInvalid, "15")
	wantRefusal(t, last(s.api.TargetHttpsProxies.SetSslCertificates(project, "tps",
		&compute.TargetHttpsProxiesSetSslCertificatesRequest{SslCertificates: proxy.SslCertificates}).Do()), 400, reasonInvalid, "15")
	s.done(s.api.TargetHttpsProxies.SetSslCertificates(project, "tps",
		&compute.TargetHttpsProxiesSetSslCertificatesRequest{SslCertificates: proxy.SslCertificates[1:]}).Do())
	wantRefusal(t, last(s.api.SslCertificates.Delete(project, "c14").Do()), 400, reasonInUse, "tps")
	s.done(s.api.SslCertificates.Delete(project, "c").Do())
}
