package gcetest

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	compute "google.golang.org/api/compute/v1"
)

func (s *standIn) client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: s.DialTraffic, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// get returns the status and the body of an answer.
func (s *standIn) get(u, host string) (int, string, http.Header) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, u, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = host
	answer, err := s.client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // read whole below
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(body)), answer.Header
}

func TestTrafficReachesEveryHealthyNodeAndNoOther(t *testing.T) {
	n, s := threeNodes(t)
	ip := s.build()
	s.until("bs", "neg", "HEALTHY", 3)
	got := map[string]int{}
	for range 30 {
		code, body, _ := s.get("http://"+ip+"/", "")
		if code != 200 {
			t.Fatalf("got %d %s", code, body)
		}
		got[body]++
	}
	if len(got) != 3 || got["10.0.0.1"] != 10 {
		t.Errorf("got %v, want ten answers of each", got)
	}
	n.setSick("10.0.0.2", true)
	s.until("bs", "neg", "UNHEALTHY", 1)
	for range 10 {
		if _, body, _ := s.get("http://"+ip+"/", ""); body == "10.0.0.2" {
			t.Error("an unhealthy node got a request")
		}
	}
	for _, address := range []string{"10.0.0.1", "10.0.0.3"} {
		n.setSick(address, true)
	}
	s.until("bs", "neg", "UNHEALTHY", 3)
	if code, body, _ := s.get("http://"+ip+"/", ""); code != 502 || body != "no healthy upstream" {
		t.Errorf("got %d %q of no node", code, body)
	}
}

func TestTheProxyServesCurlAndGoClients(t *testing.T) {
	n, s := threeNodes(t)
	ip := s.build()
	s.until("bs", "neg", "HEALTHY", 3)
	proxy, err := url.Parse(s.TrafficProxy())
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy)}}
	answer, err := client.Post("http://"+ip+"/a?b=c", "text/plain", strings.NewReader("hello"))
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("got %v, %v", answer, err)
	}
	_ = answer.Body.Close()
	r := <-n.seen
	if r.Header.Get("Via") != "1.1 google" || !strings.HasSuffix(r.Header.Get("X-Forwarded-For"), ", "+ip) || r.Header.Get("X-Forwarded-Proto") != "http" {
		t.Errorf("the node saw %v", r.Header)
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Log("there is no curl here: Go's client alone went through the proxy")
		return
	}
	out, err := exec.CommandContext(t.Context(), curl, "-sS", "--proxy", s.TrafficProxy(), "-H", "Host: shop.example", "http://"+ip+"/x").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "10.0.0.") {
		t.Errorf("curl: %s, %v", out, err)
	}
	if r := <-n.seen; r.Host != "shop.example" {
		t.Errorf("host %q", r.Host)
	}
	out, _ = exec.CommandContext(t.Context(), curl, "-sS", "--proxy", s.TrafficProxy(), "http://203.0.113.99/x").CombinedOutput()
	if !strings.Contains(string(out), "No forwarding rule") {
		t.Errorf("curl of no address: %s", out)
	}
}

func TestRequestsAreSharedByCapacity(t *testing.T) {
	n := newNodes(t, 30080, "10.0.0.1", "10.0.0.2", "10.0.0.3", "192.168.7.1")
	s := newStandIn(t, Options{Dial: n.dial, ProbeInterval: 10 * time.Millisecond})
	ip := s.build()
	away := &compute.NetworkEndpointGroup{Name: "away", NetworkEndpointType: typeAddresses, Network: global("networks/vpc")}
	s.done(s.api.NetworkEndpointGroups.Insert(project, zone, away).Do())
	s.done(s.api.NetworkEndpointGroups.AttachNetworkEndpoints(project, zone, "away", &compute.NetworkEndpointGroupsAttachEndpointsRequest{
		NetworkEndpoints: []*compute.NetworkEndpoint{{IpAddress: "192.168.7.1", Port: 30080}},
	}).Do())
	set := func(rate int64, capacity float64) {
		t.Helper()
		b, err := s.api.BackendServices.Get(project, "bs").Do()
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := backend("away")
		elsewhere.MaxRate, elsewhere.CapacityScaler = rate, capacity
		elsewhere.ForceSendFields = []string{"CapacityScaler"}
		s.done(s.api.BackendServices.Patch(project, "bs", &compute.BackendService{
			Fingerprint: b.Fingerprint, Backends: []*compute.Backend{backend("neg"), elsewhere},
		}).Do())
	}
	count := func() map[string]int {
		got := map[string]int{}
		for range 40 {
			_, body, _ := s.get("http://"+ip+"/", "")
			got[body]++
		}
		return got
	}
	set(300, 1)
	s.until("bs", "away", "HEALTHY", 1)
	s.until("bs", "neg", "HEALTHY", 3)
	if got := count(); got["192.168.7.1"] != 30 {
		t.Errorf("at 300 of 400: %v", got)
	}
	set(1000, 0.1)
	if got := count(); got["192.168.7.1"] != 20 {
		t.Errorf("at a tenth of 1000 next to 100: %v", got)
	}
	set(300, 0)
	if got := count(); got["192.168.7.1"] != 0 {
		t.Errorf("drained: %v", got)
	}
}

func TestADrainedNodeFinishesItsRequests(t *testing.T) {
	n, s := threeNodes(t)
	ip := s.build()
	s.until("bs", "neg", "HEALTHY", 3)
	codes := make(chan int, 3)
	for range 3 {
		go func() {
			code, _, _ := s.get("http://"+ip+"/slow", "")
			codes <- code
		}()
	}
	s.underWay(3)
	b, err := s.api.BackendServices.Get(project, "bs").Do()
	if err != nil {
		t.Fatal(err)
	}
	s.done(s.api.BackendServices.Patch(project, "bs", &compute.BackendService{
		Fingerprint: b.Fingerprint, ConnectionDraining: &compute.ConnectionDraining{DrainingTimeoutSec: 60},
	}).Do())
	s.done(s.api.NetworkEndpointGroups.DetachNetworkEndpoints(project, zone, "neg", &compute.NetworkEndpointGroupsDetachEndpointsRequest{
		NetworkEndpoints: []*compute.NetworkEndpoint{{Instance: "node-1", IpAddress: "10.0.0.1", Port: 30080}},
	}).Do())
	close(n.hold)
	for range 3 {
		if code := <-codes; code != 200 {
			t.Errorf("got %d", code)
		}
	}
}

func TestWithoutDrainingARequestIsCanceled(t *testing.T) {
	n, s := threeNodes(t)
	defer close(n.hold)
	ip := s.build()
	s.until("bs", "neg", "HEALTHY", 3)
	codes := make(chan int, 1)
	go func() {
		code, _, _ := s.get("http://"+ip+"/slow", "")
		codes <- code
	}()
	s.underWay(1)
	var all []*compute.NetworkEndpoint
	for i := 1; i <= 3; i++ {
		all = append(all, &compute.NetworkEndpoint{Instance: fmt.Sprintf("node-%d", i), IpAddress: fmt.Sprintf("10.0.0.%d", i), Port: 30080})
	}
	s.done(s.api.NetworkEndpointGroups.DetachNetworkEndpoints(project, zone, "neg",
		&compute.NetworkEndpointGroupsDetachEndpointsRequest{NetworkEndpoints: all}).Do())
	if code := <-codes; code != 502 {
		t.Errorf("got %d", code)
	}
}

// underWay waits for so many requests at the nodes.
func (s *standIn) underWay(want int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		n := 0
		for _, flows := range s.traffic.balance.under {
			n += len(flows)
		}
		s.mu.Unlock()
		if n == want {
			return
		}
		<-tick.C
	}
}

func TestURLMapsRouteByHostAndPath(t *testing.T) {
	n := newNodes(t, 30080, "10.0.0.1")
	n2 := newNodes(t, 30081, "10.0.0.2")
	s := newStandIn(t, Options{ProbeInterval: 10 * time.Millisecond, Dial: func(ctx context.Context, a string, p int) (net.Conn, error) {
		if p == 30081 {
			return n2.dial(ctx, a, p)
		}
		return n.dial(ctx, a, p)
	}})
	ip := s.build()
	open := probeRule("fw")
	open.Allowed[0].Ports = []string{"30000-32767"}
	s.done(s.api.Firewalls.Patch(project, "fw", open).Do())
	s.group("neg2", 30081)
	s.done(s.api.BackendServices.Insert(project, service("bs2", "neg2")).Do())
	s.done(s.api.BackendServices.Insert(project, service("none")).Do())
	um, err := s.api.UrlMaps.Get(project, "um").Do()
	if err != nil {
		t.Fatal(err)
	}
	notFound := &compute.HttpRouteAction{FaultInjectionPolicy: &compute.HttpFaultInjection{Abort: &compute.HttpFaultAbort{HttpStatus: 404, Percentage: 100}}}
	s.done(s.api.UrlMaps.Patch(project, "um", &compute.UrlMap{
		Fingerprint: um.Fingerprint, DefaultService: global("backendServices/none"), DefaultRouteAction: notFound,
		HostRules: []*compute.HostRule{
			{Hosts: []string{"shop.example"}, PathMatcher: "shop"}, {Hosts: []string{"*.example"}, PathMatcher: "any"},
		},
		PathMatchers: []*compute.PathMatcher{
			{Name: "shop", DefaultService: global("backendServices/bs"), PathRules: []*compute.PathRule{
				{Paths: []string{"/cart", "/cart/*"}, Service: global("backendServices/bs2")},
			}},
			{Name: "any", DefaultUrlRedirect: &compute.HttpRedirectAction{HttpsRedirect: true}},
		},
	}).Do())
	s.until("bs", "neg", "HEALTHY", 1)
	s.until("bs2", "neg2", "HEALTHY", 1)
	for _, test := range []struct {
		host, path string
		code       int
		want       string
	}{
		{"shop.example", "/", 200, "10.0.0.1"},
		{"shop.example", "/cart", 200, "10.0.0.2"},
		{"SHOP.example", "/cart/1?x=y", 200, "10.0.0.2"},
		{"shop.example", "/cartoon", 200, "10.0.0.1"},
		{"blog.example", "/a?b=c", 301, "https://blog.example/a?b=c"},
		{"example", "/", 404, "fault filter abort"},
		{ip, "/", 404, "fault filter abort"},
	} {
		code, body, header := s.get("http://"+ip+test.path, test.host)
		if code/100 == 3 {
			body = header.Get("Location")
		}
		if code != test.code || body != test.want {
			t.Errorf("%s%s: got %d %s, want %d %s", test.host, test.path, code, body, test.code, test.want)
		}
	}
}

func TestHTTPSChoosesTheCertificateByName(t *testing.T) {
	_, s := threeNodes(t)
	ip := s.build()
	var urls []string
	for _, name := range []string{"one.example", "two.example"} {
		chain, secret := pemPair(t, name)
		c := &compute.SslCertificate{Name: name[:3], Certificate: chain, PrivateKey: secret}
		s.done(s.api.SslCertificates.Insert(project, c).Do())
		urls = append(urls, global("sslCertificates/"+name[:3]))
		got, err := s.api.SslCertificates.Get(project, name[:3]).Do()
		if err != nil || got.PrivateKey != "" || got.SelfManaged.PrivateKey != "" || !slices.Equal(got.SubjectAlternativeNames, []string{name}) {
			t.Errorf("the certificate reads %+v, %v", got, err)
		}
	}
	s.done(s.api.TargetHttpsProxies.Insert(project, &compute.TargetHttpsProxy{Name: "tps", UrlMap: global("urlMaps/um"), SslCertificates: urls}).Do())
	secure := rule("frs", "")
	secure.Target, secure.PortRange = global("targetHttpsProxies/tps"), "443"
	s.done(s.api.GlobalForwardingRules.Insert(project, secure).Do())
	s.until("bs", "neg", "HEALTHY", 3)
	for _, name := range []string{"one.example", "two.example"} {
		client := s.client()
		transport, _ := client.Transport.(*http.Transport)
		transport.TLSClientConfig.ServerName = name
		answer, err := client.Get("https://" + ip + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if got := answer.TLS.PeerCertificates[0].Subject.CommonName; got != name || answer.StatusCode != 200 {
			t.Errorf("%s: got the certificate of %s and %d", name, got, answer.StatusCode)
		}
	}
}
