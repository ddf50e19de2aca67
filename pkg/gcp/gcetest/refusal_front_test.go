package gcetest

import (
	"fmt"
	"testing"

	compute "google.golang.org/api/compute/v1"
)

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
