package gce

import (
	"bytes"
	"encoding/pem"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

const (
	standZone    = "europe-west1-b"
	standNetwork = "projects/" + gcptest.Project + "/global/networks/net"
)

var standOwner = gcp.Owner{Federation: gcptest.Mark.Federation, Source: gcptest.Mark.Source}

// quickPace is for a stand-in that answers at once.
var quickPace = pace{
	first: time.Millisecond, last: 10 * time.Millisecond, total: 2 * time.Second, question: time.Second,
	operation: 10 * time.Second, poll: time.Millisecond,
}

// newStandIn returns a stand-in with the projects shop-prod and host, three machines in
// a zone, and a client of it.
func newStandIn(t *testing.T, o gcetest.Options) (*gcetest.Server, *Client) {
	t.Helper()
	o.Projects = []string{gcptest.Project, "host"}
	server := gcetest.New(o)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	for _, name := range []string{"node-1", "node-2", "node-3"} {
		server.SetInstance(gcetest.Instance{
			Project: gcptest.Project, Zone: standZone, Name: name, Network: "net", Subnetwork: "sub",
			Address: "10.0.0." + name[5:], Tags: []string{"gke-a-node", "extra"},
		})
	}
	server.AddNetwork("host", "shared")
	return server, newClient(t, server)
}

func newClient(t *testing.T, server *gcetest.Server) *Client {
	t.Helper()
	c, err := New(t.Context(), Options{Project: gcptest.Project, Endpoint: server.URL(), QPS: 1e6, Burst: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	c.pace = quickPace
	return c
}

// frontend is one load balancer of every kind of resource.
type frontend struct {
	address, firewall, check, group, service, urlMap, certificate, http, https, plain, secure gcp.Resource
}

func newFrontend(t *testing.T) frontend {
	t.Helper()
	id := func(kind gcp.Kind, name string) gcp.ID { return gcp.ID{Kind: kind, Name: name} }
	of := func(id gcp.ID, spec gcp.Spec) gcp.Resource {
		return gcp.Resource{ID: id, Mark: gcptest.Mark, Spec: spec}
	}
	chain, key := gcptest.NewKeyPair(t)
	var f frontend
	f.address = of(id(gcp.KindAddress, "web-ip"), gcp.Address{})
	f.firewall = of(id(gcp.KindFirewall, "web-fw"), gcp.Firewall{
		Network: standNetwork, Ranges: []string{"130.211.0.0/22", "35.191.0.0/16"}, Ports: []int32{30080, 30081}, Tags: []string{"gke-a-node"},
	})
	f.check = of(id(gcp.KindHealthCheck, "web-hc"), gcp.HealthCheck{
		Protocol: "HTTP", Path: "/healthz", Interval: 10, Timeout: 5, Healthy: 1, Unhealthy: 3,
	})
	f.group = of(gcp.ID{Kind: gcp.KindGroup, Zone: standZone, Name: "web-neg"}, gcp.Group{
		Type: gcp.GroupOfMachines, Network: standNetwork, Subnetwork: "projects/" + gcptest.Project + "/regions/europe-west1/subnetworks/sub",
	})
	f.service = of(id(gcp.KindService, "web-be"), gcp.Service{
		Protocol: "HTTP", HealthCheck: f.check.ID, Timeout: 30, Drain: 60,
		Backends: []gcp.Backend{{Group: f.group.ID, MaxRate: 100, Capacity: 1}},
	})
	f.urlMap = of(id(gcp.KindURLMap, "web-um"), gcp.URLMap{
		Default: gcp.Target{Service: f.service.ID, NotFound: true},
		Hosts: []gcp.HostRule{{Host: "shop.example", Default: gcp.Target{Service: f.service.ID}, Paths: []gcp.PathRule{
			{Path: "/api", Prefix: true, Service: f.service.ID},
		}}},
	})
	f.certificate = of(id(gcp.KindCertificate, "web-cert"), gcp.Certificate{Chain: chain, Key: key})
	f.http = of(id(gcp.KindHTTPProxy, "web-tp"), gcp.Proxy{URLMap: f.urlMap.ID})
	f.https = of(id(gcp.KindHTTPSProxy, "web-tps"), gcp.Proxy{URLMap: f.urlMap.ID, Certificates: []gcp.ID{f.certificate.ID}})
	f.plain = of(id(gcp.KindRule, "web-fr"), gcp.Rule{Address: f.address.ID, Port: 80, Target: f.http.ID})
	f.secure = of(id(gcp.KindRule, "web-frs"), gcp.Rule{Address: f.address.ID, Port: 443, Target: f.https.ID})
	return f
}

// all returns the resources in the order of creation.
func (f frontend) all() []gcp.Resource {
	return []gcp.Resource{
		f.address, f.firewall, f.check, f.group, f.service, f.urlMap, f.certificate, f.http, f.https, f.plain, f.secure,
	}
}

var standEndpoints = []gcp.Endpoint{
	{Instance: "node-1", Address: "10.0.0.1", Port: 30080}, {Instance: "node-2", Address: "10.0.0.2", Port: 30080},
}

// build creates all resources and attaches the endpoints.
func (f frontend) build(t *testing.T, c *Client) {
	t.Helper()
	for _, r := range f.all() {
		mustDo(t, c, gcp.Action{Verb: gcp.Create, ID: r.ID, Want: r})
	}
	mustDo(t, c, gcp.Action{Verb: gcp.Attach, ID: f.group.ID, Want: f.group, Endpoints: standEndpoints})
}

func mustDo(t *testing.T, c *Client, a gcp.Action) {
	t.Helper()
	if err := c.Do(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// mustObserve calls Observe, and fails the test if anything could not be read.
func mustObserve(t *testing.T, c *Client, scope gcp.Scope) gcp.Observed {
	t.Helper()
	scope.Owner = standOwner
	seen := c.Observe(t.Context(), scope)
	for _, err := range seen.Errors {
		t.Fatalf("%s: %v", err.What, err.Err)
	}
	return seen
}

func pemText(kind string, der []byte) string {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der})
	return b.String()
}
