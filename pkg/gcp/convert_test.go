package gcp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/compute/v1"
)

const standProject = "shop-prod"

var standMark = Mark{Federation: "shop", Source: "0a1b2c"}

func TestParseLinkReadsEveryForm(t *testing.T) {
	want := link{Project: standProject, Scope: "zones/z-1", Collection: "networkEndpointGroups", Name: "web"}
	for _, url := range []string{
		"https://www.googleapis.com/compute/v1/projects/shop-prod/zones/z-1/networkEndpointGroups/web",
		"https://compute.googleapis.com/compute/beta/projects/shop-prod/zones/z-1/networkEndpointGroups/web",
		"http://127.0.0.1:8080/compute/v1/projects/shop-prod/zones/z-1/networkEndpointGroups/web/",
		"projects/shop-prod/zones/z-1/networkEndpointGroups/web",
		"/projects/shop-prod/zones/z-1/networkEndpointGroups/web",
		"zones/z-1/networkEndpointGroups/web",
	} {
		if got, ok := parseLink(url, standProject); !ok || got != want {
			t.Errorf("parseLink(%q) = %+v, %v, want %+v", url, got, ok, want)
		}
	}
	if got, ok := parseLink("global/networks/default", "host"); !ok || got.String() != "projects/host/global/networks/default" {
		t.Errorf("a relative URL is of the given project, got %v, %v", got, ok)
	}
	for _, url := range []string{"", "default", "global/networks", "projects/p", "projects/p/global/networks/", "a/b/c", "zones/z/x/y/z"} {
		if got, ok := parseLink(url, standProject); ok {
			t.Errorf("parseLink(%q) = %+v, want none", url, got)
		}
	}
}

func TestIDOfAnotherProjectEqualsNoneOfOurs(t *testing.T) {
	ours := ID{Kind: KindService, Name: "web"}
	for url, want := range map[string]bool{
		linkOf(ours, standProject):                            true,
		"global/backendServices/web":                          true,
		"projects/other/global/backendServices/web":           false,
		"projects/shop-prod/regions/r/backendServices/web":    false,
		"projects/shop-prod/global/backendBuckets/web":        false,
		"https://x.test/v9/projects/shop-prod/global/urlMaps": false,
	} {
		if got := idOf(url, standProject, KindService); (got == ours) != want {
			t.Errorf("idOf(%q) = %v, want ours: %v", url, got, want)
		}
	}
	if got := idOf("", standProject, KindService); got != (ID{}) {
		t.Errorf("idOf of no URL = %v, want none", got)
	}
}

// specGenerator makes random specs as Build may want them.
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

func (g specGenerator) id(kind Kind) ID {
	id := ID{Kind: kind, Name: g.name()}
	if kind == KindGroup {
		id.Zone = "z-" + g.name()
	}
	return id
}

func (g specGenerator) firewall() Firewall {
	f := Firewall{Network: "projects/host/global/networks/" + g.name(), Ranges: g.list(3), Tags: g.list(4)}
	for range 1 + g.IntN(5) {
		f.Ports = append(f.Ports, 30000+g.Int32N(2768))
	}
	slices.Sort(f.Ports)
	f.Ports = slices.Compact(f.Ports)
	return f
}

func (g specGenerator) healthCheck() HealthCheck {
	h := HealthCheck{
		Protocol: g.pick("HTTP", "HTTPS", "HTTP2", "TCP"), Interval: 1 + g.Int64N(60), Timeout: 1 + g.Int64N(60),
		Healthy: 1 + g.Int64N(9), Unhealthy: 1 + g.Int64N(9),
	}
	if h.Protocol != "TCP" {
		h.Path, h.Host = "/"+g.name(), g.pick("", "shop.example")
	}
	return h
}

func (g specGenerator) group() Group {
	if g.IntN(2) == 0 {
		return Group{Type: GroupOfAddresses, Network: "projects/p/global/networks/n"}
	}
	return Group{
		Type: GroupOfMachines, Network: "projects/p/global/networks/n",
		Subnetwork: "projects/p/regions/r/subnetworks/" + g.name(),
	}
}

func (g specGenerator) service() Service {
	s := Service{
		Protocol: g.pick("HTTP", "HTTPS", "HTTP2"), HealthCheck: g.id(KindHealthCheck),
		Timeout: 1 + g.Int64N(100), Drain: g.Int64N(100),
	}
	for range g.IntN(4) {
		s.Backends = append(s.Backends, Backend{
			Group: g.id(KindGroup), MaxRate: float64(1 + g.IntN(1e6)), Capacity: float64(g.IntN(11)) / 10,
		})
	}
	slices.SortFunc(s.Backends, func(a, b Backend) int { return a.Group.Compare(b.Group) })
	s.Backends = slices.CompactFunc(s.Backends, func(a, b Backend) bool { return a.Group == b.Group })
	return s
}

func (g specGenerator) target() Target {
	switch g.IntN(3) {
	case 0:
		return Target{HTTPS: true}
	case 1:
		return Target{Service: g.id(KindService), NotFound: true}
	}
	return Target{Service: g.id(KindService)}
}

func (g specGenerator) urlMap() URLMap {
	m := URLMap{Default: g.target()}
	hosts := append(g.list(4), "*.example", "*")
	slices.Sort(hosts)
	for _, host := range hosts {
		rule := HostRule{Host: host, Default: g.target()}
		for range g.IntN(5) {
			path := g.pick("/", "/a", "/a/", "/a/b", "/projects/shop-prod/global/urlMaps/x", "/global/urlMaps/x", "/a*b")
			rule.Paths = append(rule.Paths, PathRule{Path: path, Prefix: g.IntN(2) == 0, Service: g.id(KindService)})
		}
		m.Hosts = append(m.Hosts, rule)
	}
	return m
}

func (g specGenerator) proxy(kind Kind) Proxy {
	p := Proxy{URLMap: g.id(KindURLMap)}
	if kind == KindHTTPSProxy {
		p.Certificates = []ID{g.id(KindCertificate), g.id(KindCertificate)}
	}
	return p
}

func TestSpecsSurviveTheWayThroughTheAPI(t *testing.T) {
	g := specGenerator{rand.New(rand.NewPCG(1, 2))}
	r := Resource{ID: ID{Name: "x"}, Mark: standMark}
	check := func(what string, want, got Spec) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s, -want +got:\n%s", what, diff)
		}
		if fields := want.differs(got); len(fields) > 0 {
			t.Fatalf("%s differs in %v", what, fields)
		}
	}
	for range 200 {
		f := g.firewall()
		check("firewall rule", f, fromFirewall(sent(t, toFirewall(r, f)), standProject))
		h := g.healthCheck()
		check("health check", h, fromHealthCheck(sent(t, toHealthCheck(r, h))))
		n := g.group()
		check("endpoint group", n, fromGroup(sent(t, toGroup(r, n)), standProject))
		s := g.service()
		check("backend service", s, fromService(sent(t, toService(r, s, standProject)), standProject))
		m := g.urlMap()
		check("URL map", m, fromURLMap(sent(t, toURLMap(r, m, standProject)), standProject))
		p := g.proxy(KindHTTPProxy)
		check("HTTP proxy", p, fromHTTPProxy(sent(t, toHTTPProxy(r, p, standProject)), standProject))
		p = g.proxy(KindHTTPSProxy)
		check("HTTPS proxy", p, fromHTTPSProxy(sent(t, toHTTPSProxy(r, p, standProject)), standProject))
		address := Resource{ID: g.id(KindAddress), Spec: Address{IP: "203.0.113.7"}}
		rule := Rule{
			Address: address.ID, IP: "203.0.113.7", Port: 443, Target: g.id(KindHTTPSProxy), Scheme: schemeManaged,
		}
		check("forwarding rule", rule,
			withAddress(fromRule(sent(t, toRule(r, rule, standProject)), standProject), []Resource{address}))
	}
}

// sent gives what the other side reads of a value of the API: itself, by JSON.
func sent[T any](t *testing.T, value *T) *T {
	t.Helper()
	return decode[T](t, encode(t, value))
}

func TestURLMapThatFedsyncWouldNotWriteDiffers(t *testing.T) {
	g := specGenerator{rand.New(rand.NewPCG(3, 4))}
	spec := URLMap{
		Default: Target{Service: ID{Kind: KindService, Name: "empty"}, NotFound: true},
		Hosts: []HostRule{{
			Host: "shop.example", Default: Target{Service: ID{Kind: KindService, Name: "web"}},
			Paths: []PathRule{
				{Path: "/api", Prefix: true, Service: g.id(KindService)},
				{Path: "/", Prefix: true, Service: g.id(KindService)},
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
		m := sent(t, toURLMap(Resource{Mark: standMark}, spec, standProject))
		edit(m)
		if fields := spec.differs(fromURLMap(m, standProject)); len(fields) == 0 {
			t.Errorf("%s: no field differs", what)
		}
	}
	// What does not change where requests go does not count.
	m := sent(t, toURLMap(Resource{Mark: standMark}, spec, standProject))
	m.DefaultService = "https://www.googleapis.com/compute/v1/" + m.DefaultService
	m.PathMatchers[0].Name, m.HostRules[0].PathMatcher = "renamed", "renamed"
	m.PathMatchers[0].Description = "by hand"
	m.PathMatchers[0].RouteRules[1].Priority = 77
	m.HeaderAction = &compute.HttpHeaderAction{RequestHeadersToRemove: []string{"x-secret"}}
	if fields := spec.differs(fromURLMap(m, standProject)); len(fields) > 0 {
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

func TestFirewallRuleSaysWhatElseItAllows(t *testing.T) {
	f := fromFirewall(&compute.Firewall{
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
	}, standProject)
	want := Firewall{
		Network: "projects/host/global/networks/n", Ports: []int32{30301, 30302, 30303, 30304}, Disabled: true,
		Extra: []string{"deny all ", "icmp", "source tags bastion", "tcp", "tcp:1-65535", "udp:53"},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestHealthCheckAtAnotherPortDiffers(t *testing.T) {
	want := HealthCheck{Protocol: "HTTP", Path: "/", Interval: 5, Timeout: 5, Healthy: 1, Unhealthy: 2}
	for what, edit := range map[string]func(*compute.HealthCheck){
		"a fixed port": func(h *compute.HealthCheck) {
			h.HttpHealthCheck.PortSpecification, h.HttpHealthCheck.Port = "USE_FIXED_PORT", 80
		},
		"an expected answer": func(h *compute.HealthCheck) { h.HttpHealthCheck.Response = "ok" },
		"another type":       func(h *compute.HealthCheck) { h.Type, h.HttpHealthCheck = "SSL", nil },
		"a host":             func(h *compute.HealthCheck) { h.HttpHealthCheck.Host = "x" },
	} {
		h := toHealthCheck(Resource{Mark: standMark}, want)
		edit(h)
		if len(want.differs(fromHealthCheck(h))) == 0 {
			t.Errorf("%s: no field differs", what)
		}
	}
}

func TestMergeKeepsForeignBackendsAndSettings(t *testing.T) {
	ours, wanted := ID{Kind: KindGroup, Zone: "z", Name: "ours"}, ID{Kind: KindGroup, Zone: "z", Name: "wanted"}
	foreign := "https://www.googleapis.com/compute/v1/projects/shop-prod/zones/z/networkEndpointGroups/foreign"
	present := []*compute.Backend{
		{Group: "projects/shop-prod/zones/z/instanceGroups/old", BalancingMode: "UTILIZATION", CapacityScaler: 0},
		{Group: foreign, BalancingMode: "RATE", MaxRatePerEndpoint: 5, CapacityScaler: 1},
		{Group: linkOf(ours, standProject), BalancingMode: "RATE", MaxRate: 10, CapacityScaler: 1},
		{Group: linkOf(wanted, standProject), BalancingMode: "UTILIZATION", MaxUtilization: 0.5, Preference: "PREFERRED", CapacityScaler: 1},
	}
	want := []Backend{{Group: wanted, MaxRate: 100, Capacity: 0}}
	kept := foreignBackends(present, want, standProject, func(id ID) bool { return id == ours || id == wanted })
	got := string(encode(t, append(kept, mergeBackends(present, want, standProject)...)))
	const expected = `[{"balancingMode":"UTILIZATION","capacityScaler":0,"group":"projects/shop-prod/zones/z/instanceGroups/old"},` +
		`{"balancingMode":"RATE","capacityScaler":1,"group":"https://www.googleapis.com/compute/v1/projects/shop-prod/zones/z/networkEndpointGroups/foreign","maxRatePerEndpoint":5},` +
		`{"balancingMode":"RATE","capacityScaler":0,"group":"projects/shop-prod/zones/z/networkEndpointGroups/wanted","maxRate":100,"preference":"PREFERRED"}]`
	if got != expected {
		t.Errorf("got  %s\nwant %s", got, expected)
	}
}

func TestSecretsAreNotInText(t *testing.T) {
	const key = "-----BEGIN PRIVATE KEY-----\nabc"
	a := Action{Verb: Create, Want: Resource{Mark: standMark, Spec: Certificate{Chain: "c", Key: key}}}
	for what, text := range map[string]string{
		"the action in JSON": string(encode(t, a)), "with %v": fmt.Sprintf("%v", a), "with %+v": fmt.Sprintf("%+v", a),
		"with %#v": fmt.Sprintf("%#v", a), "its message": answer{status: 400, message: "bad " + key}.text(),
	} {
		if strings.Contains(text, "abc") {
			t.Errorf("%s holds the key: %s", what, text)
		}
	}
	if got := toCertificate(a.Want, Certificate{Key: key}).SelfManaged.PrivateKey; got != key {
		t.Errorf("sent key = %q", got)
	}
}
