package gcp

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
)

func addressID(name string) ID { return ID{Kind: KindAddress, Name: name} }

func TestAddresses(t *testing.T) {
	ip := Address{IP: "203.0.113.9"}
	rule := func(name string, m Mark) func(*scene) {
		return func(s *scene) {
			s.cloud.resources[addressID("shop")] = Resource{ID: addressID("shop"), Spec: ip}
			id := ID{Kind: KindRule, Name: name}
			s.cloud.resources[id] = Resource{ID: id, Mark: m, Spec: Rule{IP: ip.IP, Port: 80, Scheme: "EXTERNAL"}}
		}
	}
	for name, test := range map[string]struct {
		change  func(*scene)
		ours    bool   // it is made with our mark
		refused string // a part of why it is refused
	}{
		"the user's":         {func(s *scene) { s.cloud.resources[addressID("shop")] = Resource{ID: addressID("shop"), Spec: ip} }, false, ""},
		"missing, reserved":  {func(*scene) {}, true, ""},
		"missing, required":  {func(s *scene) { s.federation.GCP.Addresses = federation.AddressRequireExisting }, false, "does not exist in project shop"},
		"used by somebody":   {rule("website", Mark{}), false, "forwarding rule website, which is not fedsync's"},
		"used by GLBC":       {rule("k8s-fw-default-nginx--u", Mark{}), false, "of Google's ingress controller: it cannot move without a gap"},
		"used by kubemci":    {rule("mci1-fw--x", Mark{}), false, "of kubemci"},
		"of another Ingress": {rule("fedsync-x", Mark{Federation: "web", Source: "0123456789abcdef", Ingress: "networking.k8s.io/Ingress/default/other"}), false, "Ingress/default/other"},
		"used by a VPN": {func(s *scene) {
			s.cloud.resources[addressID("shop")] = Resource{ID: addressID("shop"), Spec: ip}
			s.partial = func(o *Observed) {
				o.Resources[addressID("shop")] = Resource{ID: addressID("shop"), Spec: Address{IP: ip.IP, InUse: true}}
			}
		}, false, "is in use by something that is no global forwarding rule"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(2)
			s.annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
			test.change(s)
			want := s.build()
			if again := s.build(); !reflect.DeepEqual(want, again) {
				t.Errorf("the second look leads to another end:\n%s\n%s", findings(want), findings(again))
			}
			if got := want.Balancers[0].Refused; !strings.Contains(got, test.refused) || (got == "") != (test.refused == "") {
				t.Fatalf("refused: %q, want %q", got, test.refused)
			}
			if test.refused != "" {
				if len(made(want)) > 0 || !strings.HasPrefix(findings(want), "E address") {
					t.Errorf("wanted %v, findings:\n%s", want.Resources, findings(want))
				}
				return
			}
			r := want.Resources[addressID("shop")]
			if (r.Mark.Federation != "") != test.ours {
				t.Errorf("mark = %+v", r.Mark)
			}
			want = s.settle(t)
			if got := kindOf(want, KindRule)[0].Spec.(Rule); got.Address != addressID("shop") || got.IP == "" {
				t.Errorf("rule: %+v", got)
			}
		})
	}
}

func TestAddressThatIsReservedByNameStaysOurs(t *testing.T) {
	s := newScene(1)
	s.annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
	want := s.settle(t)
	if m := want.Resources[addressID("shop")].Mark; m.Ingress != sceneIngress.String() {
		t.Errorf("mark = %+v", m)
	}
	delete(s.objects, "Ingress/nginx")
	s.settle(t)
	if _, there := s.cloud.resources[addressID("shop")]; !there {
		t.Error("the address was released")
	}
}

func TestOwnAddressBesideGooglesController(t *testing.T) {
	s := newScene(2)
	s.annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
	s.annotate("fedsync.dev/address", "shop-2")
	for i, name := range []string{"shop", "shop-2"} {
		s.cloud.resources[addressID(name)] = Resource{ID: addressID(name), Spec: Address{IP: "203.0.113." + string(rune('1'+i))}}
	}
	glbc := ID{Kind: KindRule, Name: "k8s-fw-default-nginx--u"}
	s.cloud.resources[glbc] = Resource{ID: glbc, Spec: Rule{IP: "203.0.113.1", Port: 80, Scheme: "EXTERNAL"}}
	want := s.settle(t)
	if got := kindOf(want, KindRule)[0].Spec.(Rule); got.IP != "203.0.113.2" {
		t.Errorf("rule: %+v", got)
	}
}

func TestTwoIngressesWantOneAddress(t *testing.T) {
	s := newScene(1)
	s.annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
	s.settle(t)
	s.objects["Ingress/a"] = strings.Replace(s.objects["Ingress/nginx"], "name: nginx, namespace", "name: a, namespace", 1)
	want := s.build()
	if len(want.Balancers) != 2 || want.Balancers[0].Refused == "" || want.Balancers[1].Refused != "" {
		t.Errorf("balancers: %+v", want.Balancers)
	}
}

func TestURLMap(t *testing.T) {
	s := newScene(2)
	s.objects["Service/api"] = strings.NewReplacer("name: nginx,", "name: api,", "30080", "30081").Replace(serviceYAML)
	s.objects["Ingress/nginx"] = `
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
	want := s.settle(t)
	nginx, api := want.Balancers[0].Services["default/nginx:80"], want.Balancers[0].Services["default/api:80"]
	got := kindOf(want, KindURLMap)[0].Spec.(URLMap)
	none := got.Default
	if !none.NotFound {
		t.Errorf("default: %+v, want a 404", none)
	}
	if empty := want.Resources[none.Service].Spec.(Service); len(empty.Backends) > 0 || empty.HealthCheck == (ID{}) {
		t.Errorf("service of the 404: %+v", empty)
	}
	expect := []HostRule{
		{Host: "*", Default: Target{Service: api}},
		{Host: "*.example.com", Default: none, Paths: []PathRule{{"/old", false, nginx}, {"/old", true, api}}},
		{Host: "shop.example.com", Default: Target{Service: nginx}, Paths: []PathRule{{"/api", false, nginx}, {"/api", true, api}}},
	}
	if !reflect.DeepEqual(got.Hosts, expect) {
		t.Errorf("hosts:\n%+v\nwant\n%+v", got.Hosts, expect)
	}
}

func TestLongestPathIsFirst(t *testing.T) {
	h := hostRoutes{paths: []pathRoute{{"/a", true, ""}, {"/a/b/c", true, ""}, {"/a", false, ""}, {"/b", true, ""}, {"/a/b", false, ""}}}
	h.sort()
	want := []pathRoute{{"/a/b/c", true, ""}, {"/a/b", false, ""}, {"/a", false, ""}, {"/a", true, ""}, {"/b", true, ""}}
	if !slices.Equal(h.paths, want) {
		t.Errorf("paths %v, want %v", h.paths, want)
	}
}

func TestCertificates(t *testing.T) {
	s := newScene(2)
	s.cloud.resources[ID{Kind: KindCertificate, Name: "shop"}] = Resource{ID: ID{Kind: KindCertificate, Name: "shop"}, Spec: Certificate{}}
	s.annotate("ingress.gcp.kubernetes.io/pre-shared-cert", "shop , ")
	s.annotate("fedsync.dev/https-redirect", "true")
	s.edit("Ingress/nginx", "spec:", "spec:\n  tls: [{secretName: web}]")
	if want := s.build(); len(made(want)) > 0 || !strings.Contains(want.Balancers[0].Refused, "waits for Secret default/web") {
		t.Errorf("before the Secret was read: %v, %q", want.Resources, want.Balancers[0].Refused)
	}
	s.secrets["default/web"] = KeyPair{Chain: "chain", Key: "key", Digest: "one"}
	want := s.settle(t)
	proxy := kindOf(want, KindHTTPSProxy)[0].Spec.(Proxy)
	first := proxy.Certificates[1]
	if len(proxy.Certificates) != 2 || proxy.Certificates[0].Name != "shop" || want.Resources[first].Mark.Content != "one" {
		t.Errorf("proxy: %+v", proxy)
	}
	if want.Resources[proxy.Certificates[0]].Mark.Federation != "" {
		t.Error("the user's certificate is to be ours")
	}
	redirect := kindOf(want, KindHTTPProxy)[0].Spec.(Proxy).URLMap
	if got := want.Resources[redirect].Spec.(URLMap); !got.Default.HTTPS || redirect == proxy.URLMap {
		t.Errorf("port 80 leads to %+v", got)
	}
	if len(kindOf(want, KindRule)) != 2 {
		t.Errorf("rules: %v", kindOf(want, KindRule))
	}
	if before := s.build(); !reflect.DeepEqual(before, s.build()) {
		t.Error("not deterministic")
	}

	s.secrets["default/web"] = KeyPair{Error: "it differs between c1 and c2"}
	if _, planned, _ := s.round(); len(planned.Actions) > 0 {
		t.Errorf("a Secret in error changes %v", planned.Actions)
	}
	if text := findings(s.build()); !strings.HasPrefix(text, "E D19: Secret default/web gives no certificate: it differs between c1 and c2; the certificate that is there stays") {
		t.Errorf("findings:\n%s", text)
	}
	delete(s.secrets, "default/web")
	if _, planned, _ := s.round(); len(planned.Actions) > 0 {
		t.Errorf("a Secret that is not read changes %v", planned.Actions)
	}

	s.secrets["default/web"] = KeyPair{Chain: "chain 2", Key: "key", Digest: "two"}
	want = s.settle(t)
	if got := kindOf(want, KindHTTPSProxy)[0].Spec.(Proxy).Certificates; len(got) != 2 || got[1] == first {
		t.Errorf("certificates after the renewal: %v", got)
	}
	if _, there := s.cloud.resources[first]; there {
		t.Error("the former certificate is left over")
	}
}

func TestHTTPServesWhileASecretFails(t *testing.T) {
	s := newScene(1)
	s.edit("Ingress/nginx", "spec:", "spec:\n  tls: [{secretName: web}]")
	s.secrets["default/web"] = KeyPair{Error: "it is missing in c1"}
	want := s.settle(t)
	if len(kindOf(want, KindHTTPProxy)) != 1 || len(kindOf(want, KindHTTPSProxy)) != 0 {
		t.Errorf("wanted: %v", sortedIDs(want.Resources))
	}
}

func TestHTTPSAlone(t *testing.T) {
	s := newScene(1)
	s.annotate("kubernetes.io/ingress.allow-http", "false")
	s.edit("Ingress/nginx", "spec:", "spec:\n  tls: [{secretName: web}]")
	s.secrets["default/web"] = KeyPair{Chain: "chain", Key: "key", Digest: "one"}
	want := s.settle(t)
	if rules := kindOf(want, KindRule); len(rules) != 1 || rules[0].Spec.(Rule).Port != 443 {
		t.Errorf("rules: %v", rules)
	}
}

// Addresses and forwarding rules are listed at different moments: what an address says
// of its users may be newer than the list of rules.
func TestAnAddressWhoseRuleIsNotListedYetIsNoConflict(t *testing.T) {
	s := newScene(2)
	s.annotate("kubernetes.io/ingress.global-static-ip-name", "shop")
	s.cloud.resources[addressID("shop")] = Resource{ID: addressID("shop"), Spec: Address{IP: "192.0.2.7"}}
	rule := s.build().Balancers[0].Rules[0]
	user := ""
	s.partial = func(o *Observed) {
		o.Resources[addressID("shop")] = Resource{ID: addressID("shop"), Spec: Address{IP: "192.0.2.7", InUse: true, Users: []string{user}}}
	}
	user = rule.Name
	if want := s.build(); want.Balancers[0].Refused != "" || len(want.Findings) > 0 {
		t.Errorf("with our own rule: refused %q, findings:\n%s", want.Balancers[0].Refused, findings(want))
	}
	user = "website"
	if want := s.build(); !want.Balancers[0].Waits || !strings.Contains(want.Balancers[0].Refused, "forwarding rule website") || len(want.Findings) > 0 {
		t.Errorf("with somebody's: refused %q, waits %t, findings:\n%s", want.Balancers[0].Refused, want.Balancers[0].Waits, findings(want))
	}
}
