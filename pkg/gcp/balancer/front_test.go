package balancer_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

func addressID(name string) gcp.ID { return gcp.ID{Kind: gcp.KindAddress, Name: name} }

func TestAddresses(t *testing.T) {
	ip := gcp.Address{IP: "203.0.113.9"}
	rule := func(name string, m gcp.Mark) func(*gcptest.Scene) {
		return func(s *gcptest.Scene) {
			s.Cloud.Resources[addressID("shop")] = gcp.Resource{ID: addressID("shop"), Spec: ip}
			id := gcp.ID{Kind: gcp.KindRule, Name: name}
			s.Cloud.Resources[id] = gcp.Resource{ID: id, Mark: m, Spec: gcp.Rule{IP: ip.IP, Port: 80, Scheme: "EXTERNAL"}}
		}
	}
	for name, test := range map[string]struct {
		change  func(*gcptest.Scene)
		ours    bool   // it is created with our mark
		refused string // a part of the reason for which it is refused
	}{
		"the user's": {func(s *gcptest.Scene) {
			s.Cloud.Resources[addressID("shop")] = gcp.Resource{ID: addressID("shop"), Spec: ip}
		}, false, ""},
		"missing, reserved":  {func(*gcptest.Scene) {}, true, ""},
		"missing, required":  {func(s *gcptest.Scene) { s.Federation.GCP.Addresses = federation.AddressRequireExisting }, false, "does not exist in project shop"},
		"used by a stranger": {rule("website", gcp.Mark{}), false, "forwarding rule website, which is not fedsync's"},
		"used by GLBC":       {rule("k8s-fw-default-nginx--u", gcp.Mark{}), false, "of Google's ingress controller: it cannot move without a gap"},
		"used by kubemci":    {rule("mci1-fw--x", gcp.Mark{}), false, "of kubemci"},
		"of another Ingress": {rule("fedsync-x", gcp.Mark{Federation: "web", Source: "0123456789abcdef", Ingress: "networking.k8s.io/Ingress/default/other"}), false, "Ingress/default/other"},
		"used by a VPN": {func(s *gcptest.Scene) {
			s.Cloud.Resources[addressID("shop")] = gcp.Resource{ID: addressID("shop"), Spec: ip}
			s.Partial = func(o *gcp.Observed) {
				o.Resources[addressID("shop")] = gcp.Resource{ID: addressID("shop"), Spec: gcp.Address{IP: ip.IP, InUse: true}}
			}
		}, false, "is in use by something other than a global forwarding rule"},
	} {
		t.Run(name, func(t *testing.T) {
			s := gcptest.NewScene(2)
			s.Annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
			test.change(s)
			want := s.Build()
			if again := s.Build(); !reflect.DeepEqual(want, again) {
				t.Errorf("the second read leads to another result:\n%s\n%s", gcptest.Findings(want), gcptest.Findings(again))
			}
			if got := want.Balancers[0].Refused; !strings.Contains(got, test.refused) || (got == "") != (test.refused == "") {
				t.Fatalf("refused: %q, want %q", got, test.refused)
			}
			if test.refused != "" {
				if len(gcptest.Made(want)) > 0 || !strings.HasPrefix(gcptest.Findings(want), "E address") {
					t.Errorf("wanted %v, findings:\n%s", want.Resources, gcptest.Findings(want))
				}
				return
			}
			r := want.Resources[addressID("shop")]
			if (r.Mark.Federation != "") != test.ours {
				t.Errorf("mark = %+v", r.Mark)
			}
			want = s.Settle(t)
			if got := gcptest.KindOf(want, gcp.KindRule)[0].Spec.(gcp.Rule); got.Address != addressID("shop") || got.IP == "" {
				t.Errorf("rule: %+v", got)
			}
		})
	}
}

func TestAddressThatIsReservedByNameStaysOurs(t *testing.T) {
	s := gcptest.NewScene(1)
	s.Annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
	want := s.Settle(t)
	if m := want.Resources[addressID("shop")].Mark; m.Ingress != gcptest.SceneIngress.String() {
		t.Errorf("mark = %+v", m)
	}
	delete(s.Objects, "Ingress/nginx")
	s.Settle(t)
	if _, there := s.Cloud.Resources[addressID("shop")]; !there {
		t.Error("the address was released")
	}
}

func TestOwnAddressNextToGooglesController(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
	s.Annotate("fedsync.dev/address", "shop-2")
	for i, name := range []string{"shop", "shop-2"} {
		s.Cloud.Resources[addressID(name)] = gcp.Resource{ID: addressID(name), Spec: gcp.Address{IP: "203.0.113." + string(rune('1'+i))}}
	}
	glbc := gcp.ID{Kind: gcp.KindRule, Name: "k8s-fw-default-nginx--u"}
	s.Cloud.Resources[glbc] = gcp.Resource{ID: glbc, Spec: gcp.Rule{IP: "203.0.113.1", Port: 80, Scheme: "EXTERNAL"}}
	want := s.Settle(t)
	if got := gcptest.KindOf(want, gcp.KindRule)[0].Spec.(gcp.Rule); got.IP != "203.0.113.2" {
		t.Errorf("rule: %+v", got)
	}
}

func TestTwoIngressesWantOneAddress(t *testing.T) {
	s := gcptest.NewScene(1)
	s.Annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
	s.Settle(t)
	s.Objects["Ingress/a"] = strings.Replace(s.Objects["Ingress/nginx"], "name: nginx, namespace", "name: a, namespace", 1)
	want := s.Build()
	if len(want.Balancers) != 2 || want.Balancers[0].Refused == "" || want.Balancers[1].Refused != "" {
		t.Errorf("balancers: %+v", want.Balancers)
	}
}

func TestURLMap(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Objects["Service/api"] = strings.NewReplacer("name: nginx,", "name: api,", "30080", "30081").Replace(gcptest.ServiceYAML)
	s.Objects["Ingress/nginx"] = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: nginx, namespace: default}
spec:
  rules:
  - host: Shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: nginx, port: {number: 80}}}}
      - {path: /api/, pathType: Prefix, backend: {service: {name: api, port: {name: http}}}}
      - {path: /api, pathType: Exact, backend: {service: {name: nginx, port: {number: 80}}}}
      - {path: /api, pathType: Exact, backend: {service: {name: api, port: {number: 80}}}}
  - host: "*.example.com"
    http:
      paths:
      - {path: /old/*, pathType: ImplementationSpecific, backend: {service: {name: api, port: {number: 80}}}}
      - {path: /old, pathType: ImplementationSpecific, backend: {service: {name: nginx, port: {number: 80}}}}
  - http:
      paths:
      - {path: /*, pathType: ImplementationSpecific, backend: {service: {name: api, port: {number: 80}}}}
`
	want := s.Settle(t)
	nginx, api := want.Balancers[0].Services["default/nginx:80"], want.Balancers[0].Services["default/api:80"]
	got := gcptest.KindOf(want, gcp.KindURLMap)[0].Spec.(gcp.URLMap)
	none := got.Default
	if !none.NotFound {
		t.Errorf("default: %+v, want a 404", none)
	}
	if empty := want.Resources[none.Service].Spec.(gcp.Service); len(empty.Backends) > 0 || empty.HealthCheck == (gcp.ID{}) {
		t.Errorf("service of the 404: %+v", empty)
	}
	expect := []gcp.HostRule{
		{Host: "*", Default: gcp.Target{Service: api}},
		{Host: "*.example.com", Default: none, Paths: []gcp.PathRule{{Path: "/old", Prefix: false, Service: nginx}, {Path: "/old", Prefix: true, Service: api}}},
		{Host: "shop.example.com", Default: gcp.Target{Service: nginx}, Paths: []gcp.PathRule{{Path: "/api", Prefix: false, Service: nginx}, {Path: "/api", Prefix: true, Service: api}}},
	}
	if !reflect.DeepEqual(got.Hosts, expect) {
		t.Errorf("hosts:\n%+v\nwant\n%+v", got.Hosts, expect)
	}
}

func TestCertificates(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Cloud.Resources[gcp.ID{Kind: gcp.KindCertificate, Name: "shop"}] = gcp.Resource{ID: gcp.ID{Kind: gcp.KindCertificate, Name: "shop"}, Spec: gcp.Certificate{}}
	s.Annotate("ingress.gcp.kubernetes.io/pre-shared-cert", "shop , ")
	s.Annotate("fedsync.dev/https-redirect", "true")
	s.Edit("Ingress/nginx", "spec:", "spec:\n  tls: [{secretName: web}]")
	if want := s.Build(); len(gcptest.Made(want)) > 0 || !strings.Contains(want.Balancers[0].Refused, "waits for Secret default/web") {
		t.Errorf("before the Secret was read: %v, %q", want.Resources, want.Balancers[0].Refused)
	}
	s.Secrets["default/web"] = gcp.KeyPair{Chain: "chain", Key: "key", Digest: "one"}
	want := s.Settle(t)
	proxy := gcptest.KindOf(want, gcp.KindHTTPSProxy)[0].Spec.(gcp.Proxy)
	first := proxy.Certificates[1]
	if len(proxy.Certificates) != 2 || proxy.Certificates[0].Name != "shop" || want.Resources[first].Mark.Content != "one" {
		t.Errorf("proxy: %+v", proxy)
	}
	if want.Resources[proxy.Certificates[0]].Mark.Federation != "" {
		t.Error("the user's certificate is to be ours")
	}
	redirect := gcptest.KindOf(want, gcp.KindHTTPProxy)[0].Spec.(gcp.Proxy).URLMap
	if got := want.Resources[redirect].Spec.(gcp.URLMap); !got.Default.HTTPS || redirect == proxy.URLMap {
		t.Errorf("port 80 leads to %+v", got)
	}
	if len(gcptest.KindOf(want, gcp.KindRule)) != 2 {
		t.Errorf("rules: %v", gcptest.KindOf(want, gcp.KindRule))
	}
	if before := s.Build(); !reflect.DeepEqual(before, s.Build()) {
		t.Error("not deterministic")
	}

	s.Secrets["default/web"] = gcp.KeyPair{Error: "it differs between c1 and c2"}
	if _, planned, _ := s.Round(); len(planned.Actions) > 0 {
		t.Errorf("a Secret in error changes %v", planned.Actions)
	}
	if text := gcptest.Findings(s.Build()); !strings.HasPrefix(text, "E D19: Secret default/web has no usable certificate: it differs between c1 and c2; the current certificate stays in use") {
		t.Errorf("findings:\n%s", text)
	}
	delete(s.Secrets, "default/web")
	if _, planned, _ := s.Round(); len(planned.Actions) > 0 {
		t.Errorf("a Secret that is not read changes %v", planned.Actions)
	}

	s.Secrets["default/web"] = gcp.KeyPair{Chain: "chain 2", Key: "key", Digest: "two"}
	want = s.Settle(t)
	if got := gcptest.KindOf(want, gcp.KindHTTPSProxy)[0].Spec.(gcp.Proxy).Certificates; len(got) != 2 || got[1] == first {
		t.Errorf("certificates after the renewal: %v", got)
	}
	if _, there := s.Cloud.Resources[first]; there {
		t.Error("the former certificate is left over")
	}
}

func TestHTTPServesWhileASecretFails(t *testing.T) {
	s := gcptest.NewScene(1)
	s.Edit("Ingress/nginx", "spec:", "spec:\n  tls: [{secretName: web}]")
	s.Secrets["default/web"] = gcp.KeyPair{Error: "it is missing in c1"}
	want := s.Settle(t)
	if len(gcptest.KindOf(want, gcp.KindHTTPProxy)) != 1 || len(gcptest.KindOf(want, gcp.KindHTTPSProxy)) != 0 {
		t.Errorf("wanted: %v", gcp.SortedIDs(want.Resources))
	}
}

func TestHTTPSOnly(t *testing.T) {
	s := gcptest.NewScene(1)
	s.Annotate("kubernetes.io/ingress.allow-http", "false")
	s.Edit("Ingress/nginx", "spec:", "spec:\n  tls: [{secretName: web}]")
	s.Secrets["default/web"] = gcp.KeyPair{Chain: "chain", Key: "key", Digest: "one"}
	want := s.Settle(t)
	if rules := gcptest.KindOf(want, gcp.KindRule); len(rules) != 1 || rules[0].Spec.(gcp.Rule).Port != 443 {
		t.Errorf("rules: %v", rules)
	}
}

// Addresses and forwarding rules are listed at different moments: an address's list of
// users may be newer than the list of rules.
func TestAnAddressWhoseRuleIsNotListedYetIsNoConflict(t *testing.T) {
	s := gcptest.NewScene(2)
	s.Annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
	s.Cloud.Resources[addressID("shop")] = gcp.Resource{ID: addressID("shop"), Spec: gcp.Address{IP: "192.0.2.7"}}
	rule := s.Build().Balancers[0].Rules[0]
	user := ""
	s.Partial = func(o *gcp.Observed) {
		o.Resources[addressID("shop")] = gcp.Resource{ID: addressID("shop"), Spec: gcp.Address{IP: "192.0.2.7", InUse: true, Users: []string{user}}}
	}
	user = rule.Name
	if want := s.Build(); want.Balancers[0].Refused != "" || len(want.Findings) > 0 {
		t.Errorf("with our own rule: refused %q, findings:\n%s", want.Balancers[0].Refused, gcptest.Findings(want))
	}
	user = "website"
	if want := s.Build(); !want.Balancers[0].Waits || !strings.Contains(want.Balancers[0].Refused, "forwarding rule website") || len(want.Findings) > 0 {
		t.Errorf("with a foreign rule: refused %q, waits %t, findings:\n%s", want.Balancers[0].Refused, want.Balancers[0].Waits, gcptest.Findings(want))
	}
}
