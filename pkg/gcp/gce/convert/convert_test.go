package convert

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/compute/v1"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

func TestParseLinkReadsEveryForm(t *testing.T) {
	want := link{Project: gcptest.Project, Scope: "zones/z-1", Collection: "networkEndpointGroups", Name: "web"}
	for _, url := range []string{
		"https://www.googleapis.com/compute/v1/projects/shop-prod/zones/z-1/networkEndpointGroups/web",
		"https://compute.googleapis.com/compute/beta/projects/shop-prod/zones/z-1/networkEndpointGroups/web",
		"http://127.0.0.1:8080/compute/v1/projects/shop-prod/zones/z-1/networkEndpointGroups/web/",
		"projects/shop-prod/zones/z-1/networkEndpointGroups/web",
		"/projects/shop-prod/zones/z-1/networkEndpointGroups/web",
		"zones/z-1/networkEndpointGroups/web",
	} {
		if got, ok := ParseLink(url, gcptest.Project); !ok || got != want {
			t.Errorf("parseLink(%q) = %+v, %v, want %+v", url, got, ok, want)
		}
	}
	if got, ok := ParseLink("global/networks/default", "host"); !ok || got.String() != "projects/host/global/networks/default" {
		t.Errorf("a relative URL is of the given project, got %v, %v", got, ok)
	}
	for _, url := range []string{"", "default", "global/networks", "projects/p", "projects/p/global/networks/", "a/b/c", "zones/z/x/y/z"} {
		if got, ok := ParseLink(url, gcptest.Project); ok {
			t.Errorf("parseLink(%q) = %+v, want none", url, got)
		}
	}
}

func TestIDOfAnotherProjectEqualsNoneOfOurs(t *testing.T) {
	ours := gcp.ID{Kind: gcp.KindService, Name: "web"}
	for url, want := range map[string]bool{
		LinkOf(ours, gcptest.Project):                         true,
		"global/backendServices/web":                          true,
		"projects/other/global/backendServices/web":           false,
		"projects/shop-prod/regions/r/backendServices/web":    false,
		"projects/shop-prod/global/backendBuckets/web":        false,
		"https://x.test/v9/projects/shop-prod/global/urlMaps": false,
	} {
		if got := idOf(url, gcptest.Project, gcp.KindService); (got == ours) != want {
			t.Errorf("idOf(%q) = %v, want ours: %v", url, got, want)
		}
	}
	if got := idOf("", gcptest.Project, gcp.KindService); got != (gcp.ID{}) {
		t.Errorf("idOf of no URL = %v, want none", got)
	}
}

// specGenerator generates random specs that Build may want.
type specGenerator struct{ *rand.Rand }

func (g specGenerator) name() string { return fmt.Sprintf("n%d", g.IntN(1000)) }

func (g specGenerator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g specGenerator) list(n int) []string {
	var out []string
	for range 1 + g.IntN(n) {
		out = append(out, g.name())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (g specGenerator) id(kind gcp.Kind) gcp.ID {
	id := gcp.ID{Kind: kind, Name: g.name()}
	if kind == gcp.KindGroup {
		id.Zone = "z-" + g.name()
	}
	return id
}

func (g specGenerator) firewall() gcp.Firewall {
	f := gcp.Firewall{Network: "projects/host/global/networks/" + g.name(), Ranges: g.list(3), Tags: g.list(4)}
	for range 1 + g.IntN(5) {
		f.Ports = append(f.Ports, 30000+g.Int32N(2768))
	}
	slices.Sort(f.Ports)
	f.Ports = slices.Compact(f.Ports)
	return f
}

func (g specGenerator) healthCheck() gcp.HealthCheck {
	h := gcp.HealthCheck{
		Protocol: g.pick("HTTP", "HTTPS", "HTTP2", "TCP"), Interval: 1 + g.Int64N(60), Timeout: 1 + g.Int64N(60),
		Healthy: 1 + g.Int64N(9), Unhealthy: 1 + g.Int64N(9),
	}
	if h.Protocol != "TCP" {
		h.Path, h.Host = "/"+g.name(), g.pick("", "shop.example")
	}
	return h
}

func (g specGenerator) group() gcp.Group {
	if g.IntN(2) == 0 {
		return gcp.Group{Type: gcp.GroupOfAddresses, Network: "projects/p/global/networks/n"}
	}
	return gcp.Group{
		Type: gcp.GroupOfMachines, Network: "projects/p/global/networks/n",
		Subnetwork: "projects/p/regions/r/subnetworks/" + g.name(),
	}
}

func (g specGenerator) service() gcp.Service {
	s := gcp.Service{
		Protocol: g.pick("HTTP", "HTTPS", "HTTP2"), HealthCheck: g.id(gcp.KindHealthCheck),
		Timeout: 1 + g.Int64N(100), Drain: g.Int64N(100),
	}
	for range g.IntN(4) {
		s.Backends = append(s.Backends, gcp.Backend{
			Group: g.id(gcp.KindGroup), MaxRate: float64(1 + g.IntN(1e6)), Capacity: float64(g.IntN(11)) / 10,
		})
	}
	slices.SortFunc(s.Backends, func(a, b gcp.Backend) int { return a.Group.Compare(b.Group) })
	s.Backends = slices.CompactFunc(s.Backends, func(a, b gcp.Backend) bool { return a.Group == b.Group })
	return s
}

func (g specGenerator) target() gcp.Target {
	switch g.IntN(3) {
	case 0:
		return gcp.Target{HTTPS: true}
	case 1:
		return gcp.Target{Service: g.id(gcp.KindService), NotFound: true}
	}
	return gcp.Target{Service: g.id(gcp.KindService)}
}

func (g specGenerator) urlMap() gcp.URLMap {
	m := gcp.URLMap{Default: g.target()}
	hosts := append(g.list(4), "*.example", "*")
	slices.Sort(hosts)
	for _, host := range hosts {
		rule := gcp.HostRule{Host: host, Default: g.target()}
		for range g.IntN(5) {
			path := g.pick("/", "/a", "/a/", "/a/b", "/projects/shop-prod/global/urlMaps/x", "/global/urlMaps/x", "/a*b")
			rule.Paths = append(rule.Paths, gcp.PathRule{Path: path, Prefix: g.IntN(2) == 0, Service: g.id(gcp.KindService)})
		}
		m.Hosts = append(m.Hosts, rule)
	}
	return m
}

func (g specGenerator) proxy(kind gcp.Kind) gcp.Proxy {
	p := gcp.Proxy{URLMap: g.id(gcp.KindURLMap)}
	if kind == gcp.KindHTTPSProxy {
		p.Certificates = []gcp.ID{g.id(gcp.KindCertificate), g.id(gcp.KindCertificate)}
	}
	return p
}

func TestSpecsSurviveTheRoundTripThroughTheAPI(t *testing.T) {
	g := specGenerator{rand.New(rand.NewPCG(1, 2))}
	r := gcp.Resource{ID: gcp.ID{Name: "x"}, Mark: gcptest.Mark}
	check := func(what string, want, got gcp.Spec) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s, -want +got:\n%s", what, diff)
		}
		if fields := gcp.Differences(want, got); len(fields) > 0 {
			t.Fatalf("%s differs in %v", what, fields)
		}
	}
	for range 200 {
		f := g.firewall()
		check("firewall rule", f, FromFirewall(sent(t, ToFirewall(r, f)), gcptest.Project))
		h := g.healthCheck()
		check("health check", h, FromHealthCheck(sent(t, ToHealthCheck(r, h))))
		n := g.group()
		check("endpoint group", n, FromGroup(sent(t, ToGroup(r, n)), gcptest.Project))
		s := g.service()
		check("backend service", s, FromService(sent(t, ToService(r, s, gcptest.Project)), gcptest.Project))
		m := g.urlMap()
		check("URL map", m, FromURLMap(sent(t, ToURLMap(r, m, gcptest.Project)), gcptest.Project))
		p := g.proxy(gcp.KindHTTPProxy)
		check("HTTP proxy", p, FromHTTPProxy(sent(t, ToHTTPProxy(r, p, gcptest.Project)), gcptest.Project))
		p = g.proxy(gcp.KindHTTPSProxy)
		check("HTTPS proxy", p, FromHTTPSProxy(sent(t, ToHTTPSProxy(r, p, gcptest.Project)), gcptest.Project))
		address := gcp.Resource{ID: g.id(gcp.KindAddress), Spec: gcp.Address{IP: "203.0.113.7"}}
		rule := gcp.Rule{
			Address: address.ID, IP: "203.0.113.7", Port: 443, Target: g.id(gcp.KindHTTPSProxy), Scheme: SchemeManaged,
		}
		check("forwarding rule", rule,
			WithAddress(FromRule(sent(t, ToRule(r, rule, gcptest.Project)), gcptest.Project), []gcp.Resource{address}))
	}
}

// sent returns a value of the API as the other side reads it, by way of JSON.
func sent[T any](t *testing.T, value *T) *T {
	t.Helper()
	return gcptest.Decode[T](t, gcptest.Encode(t, value))
}

func TestURLMapThatFedsyncWouldNotWriteDiffers(t *testing.T) {
	g := specGenerator{rand.New(rand.NewPCG(3, 4))}
	spec := gcp.URLMap{
		Default: gcp.Target{Service: gcp.ID{Kind: gcp.KindService, Name: "empty"}, NotFound: true},
		Hosts: []gcp.HostRule{{
			Host: "shop.example", Default: gcp.Target{Service: gcp.ID{Kind: gcp.KindService, Name: "web"}},
			Paths: []gcp.PathRule{
				{Path: "/api", Prefix: true, Service: g.id(gcp.KindService)},
				{Path: "/", Prefix: true, Service: g.id(gcp.KindService)},
			},
		}},
	}
	edits := map[string]func(*compute.UrlMap){
		"fault injection delays": func(m *compute.UrlMap) { m.DefaultRouteAction.FaultInjectionPolicy.Abort.HttpStatus = 503 },
		"half the requests":      func(m *compute.UrlMap) { m.DefaultRouteAction.FaultInjectionPolicy.Abort.Percentage = 50 },
		"a rewrite":              func(m *compute.UrlMap) { m.PathMatchers[0].RouteRules[0].RouteAction = rewriteAction() },
		"a header match":         func(m *compute.UrlMap) { m.PathMatchers[0].RouteRules[0].MatchRules[0].HeaderMatches = headerMatch() },
		"one alternative":        func(m *compute.UrlMap) { trimMatches(m.PathMatchers[0].RouteRules[0]) },
		"priorities exchanged":   func(m *compute.UrlMap) { m.PathMatchers[0].RouteRules[0].Priority = 9 },
		"path rules":             func(m *compute.UrlMap) { m.PathMatchers[0].PathRules = []*compute.PathRule{{Paths: []string{"/x"}}} },
		"a second host":          func(m *compute.UrlMap) { m.HostRules[0].Hosts = append(m.HostRules[0].Hosts, "evil.example") },
		"no matcher":             func(m *compute.UrlMap) { m.PathMatchers = nil },
		"a host of its own":      func(m *compute.UrlMap) { m.HostRules = append(m.HostRules, &compute.HostRule{Hosts: []string{"x"}}) },
		"another project":        func(m *compute.UrlMap) { m.PathMatchers[0].DefaultService = "projects/o/global/backendServices/web" },
		"a redirect of a route":  func(m *compute.UrlMap) { redirectRoute(m.PathMatchers[0].RouteRules[1]) },
		"no fault injection":     func(m *compute.UrlMap) { m.DefaultRouteAction = nil },
		"ignored case":           func(m *compute.UrlMap) { m.PathMatchers[0].RouteRules[0].MatchRules[0].IgnoreCase = true },
		"a service of the region": func(m *compute.UrlMap) {
			m.DefaultService = strings.Replace(m.DefaultService, "global", "regions/r", 1)
		},
	}
	for what, edit := range edits {
		m := sent(t, ToURLMap(gcp.Resource{Mark: gcptest.Mark}, spec, gcptest.Project))
		edit(m)
		if fields := gcp.Differences(spec, FromURLMap(m, gcptest.Project)); len(fields) == 0 {
			t.Errorf("%s: no field differs", what)
		}
	}
	// A change that does not affect where requests go does not count.
	m := sent(t, ToURLMap(gcp.Resource{Mark: gcptest.Mark}, spec, gcptest.Project))
	m.DefaultService = "https://www.googleapis.com/compute/v1/" + m.DefaultService
	m.PathMatchers[0].Name, m.HostRules[0].PathMatcher = "renamed", "renamed"
	m.PathMatchers[0].Description = "by hand"
	m.PathMatchers[0].RouteRules[1].Priority = 77
	m.HeaderAction = &compute.HttpHeaderAction{RequestHeadersToRemove: []string{"x-secret"}}
	if fields := gcp.Differences(spec, FromURLMap(m, gcptest.Project)); len(fields) > 0 {
		t.Errorf("an equal URL map differs in %v", fields)
	}
}

func rewriteAction() *compute.HttpRouteAction {
	return &compute.HttpRouteAction{UrlRewrite: &compute.UrlRewrite{PathPrefixRewrite: "/x"}}
}

func headerMatch() []*compute.HttpHeaderMatch {
	return []*compute.HttpHeaderMatch{{HeaderName: "x", PresentMatch: true}}
}

func trimMatches(r *compute.HttpRouteRule) { r.MatchRules = r.MatchRules[1:] }

func redirectRoute(r *compute.HttpRouteRule) {
	r.Service, r.UrlRedirect = "", &compute.HttpRedirectAction{HostRedirect: "x.example"}
}

func TestFirewallRuleReportsWhatElseItAllows(t *testing.T) {
	f := FromFirewall(&compute.Firewall{
		Network:    "https://www.googleapis.com/compute/v1/projects/host/global/networks/n",
		Direction:  "INGRESS",
		SourceTags: []string{"bastion"},
		Disabled:   true,
		Allowed: []*compute.FirewallAllowed{
			{IPProtocol: "TCP", Ports: []string{"30302", "30301-30301", "30303-30304", "1-65535"}},
			{IPProtocol: "udp", Ports: []string{"53"}},
			{IPProtocol: "icmp"},
			{IPProtocol: "tcp"},
		},
		Denied: []*compute.FirewallDenied{{IPProtocol: "all"}},
	}, gcptest.Project)
	want := gcp.Firewall{
		Network: "projects/host/global/networks/n", Ports: []int32{30301, 30302, 30303, 30304}, Disabled: true,
		Extra: []string{"deny all ", "icmp", "source tags bastion", "tcp", "tcp:1-65535", "udp:53"},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestHealthCheckAtAnotherPortDiffers(t *testing.T) {
	want := gcp.HealthCheck{Protocol: "HTTP", Path: "/", Interval: 5, Timeout: 5, Healthy: 1, Unhealthy: 2}
	for what, edit := range map[string]func(*compute.HealthCheck){
		"a fixed port": func(h *compute.HealthCheck) {
			h.HttpHealthCheck.PortSpecification, h.HttpHealthCheck.Port = "USE_FIXED_PORT", 80
		},
		"an expected answer": func(h *compute.HealthCheck) { h.HttpHealthCheck.Response = "ok" },
		"another type":       func(h *compute.HealthCheck) { h.Type, h.HttpHealthCheck = "SSL", nil },
		"a host":             func(h *compute.HealthCheck) { h.HttpHealthCheck.Host = "x" },
	} {
		h := ToHealthCheck(gcp.Resource{Mark: gcptest.Mark}, want)
		edit(h)
		if len(gcp.Differences(want, FromHealthCheck(h))) == 0 {
			t.Errorf("%s: no field differs", what)
		}
	}
}

func TestMergeKeepsForeignBackendsAndSettings(t *testing.T) {
	ours, wanted := gcp.ID{Kind: gcp.KindGroup, Zone: "z", Name: "ours"}, gcp.ID{Kind: gcp.KindGroup, Zone: "z", Name: "wanted"}
	foreign := "https://www.googleapis.com/compute/v1/projects/shop-prod/zones/z/networkEndpointGroups/foreign"
	present := []*compute.Backend{
		{Group: "projects/shop-prod/zones/z/instanceGroups/old", BalancingMode: "UTILIZATION", CapacityScaler: 0},
		{Group: foreign, BalancingMode: "RATE", MaxRatePerEndpoint: 5, CapacityScaler: 1},
		{Group: LinkOf(ours, gcptest.Project), BalancingMode: "RATE", MaxRate: 10, CapacityScaler: 1},
		{Group: LinkOf(wanted, gcptest.Project), BalancingMode: "UTILIZATION", MaxUtilization: 0.5, Preference: "PREFERRED", CapacityScaler: 1},
	}
	want := []gcp.Backend{{Group: wanted, MaxRate: 100, Capacity: 0}}
	kept := ForeignBackends(present, want, gcptest.Project, func(id gcp.ID) bool { return id == ours || id == wanted })
	got := string(gcptest.Encode(t, append(kept, MergeBackends(present, want, gcptest.Project)...)))
	const expected = `[{"balancingMode":"UTILIZATION","capacityScaler":0,"group":"projects/shop-prod/zones/z/instanceGroups/old"},` +
		`{"balancingMode":"RATE","capacityScaler":1,"group":"https://www.googleapis.com/compute/v1/projects/shop-prod/zones/z/networkEndpointGroups/foreign","maxRatePerEndpoint":5},` +
		`{"balancingMode":"RATE","capacityScaler":0,"group":"projects/shop-prod/zones/z/networkEndpointGroups/wanted","maxRate":100,"preference":"PREFERRED"}]`
	if got != expected {
		t.Errorf("got  %s\nwant %s", got, expected)
	}
}

func TestSecretsAreNotInText(t *testing.T) {
	const key = "-----BEGIN PRIVATE KEY-----\nabc"
	a := gcp.Action{Verb: gcp.Create, Want: gcp.Resource{Mark: gcptest.Mark, Spec: gcp.Certificate{Chain: "c", Key: key}}}
	for what, text := range map[string]string{
		"the action in JSON": string(gcptest.Encode(t, a)), "with %v": fmt.Sprintf("%v", a), "with %+v": fmt.Sprintf("%+v", a),
		"with %#v": fmt.Sprintf("%#v", a),
	} {
		if strings.Contains(text, "abc") {
			t.Errorf("%s holds the key: %s", what, text)
		}
	}
	if got := ToCertificate(a.Want, gcp.Certificate{Key: key}).SelfManaged.PrivateKey; got != key {
		t.Errorf("sent key = %q", got)
	}
}
