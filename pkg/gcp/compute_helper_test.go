package gcp

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/gcp/gcetest"
)

const (
	standZone    = "europe-west1-b"
	standNetwork = "projects/" + standProject + "/global/networks/net"
)

var standOwner = Owner{Federation: standMark.Federation, Source: standMark.Source}

// quickPace is for a stand-in that answers at once.
var quickPace = pace{
	first: time.Millisecond, last: 10 * time.Millisecond, total: 2 * time.Second, question: time.Second,
	operation: 10 * time.Second, poll: time.Millisecond,
}

// newStandIn returns a stand-in with the projects shop-prod and host, three machines in
// a zone, and a client of it.
func newStandIn(t *testing.T, o gcetest.Options) (*gcetest.Server, *Compute) {
	t.Helper()
	o.Projects = []string{standProject, "host"}
	server := gcetest.New(o)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	for _, name := range []string{"node-1", "node-2", "node-3"} {
		server.SetInstance(gcetest.Instance{
			Project: standProject, Zone: standZone, Name: name, Network: "net", Subnetwork: "sub",
			Address: "10.0.0." + name[5:], Tags: []string{"gke-a-node", "extra"},
		})
	}
	server.AddNetwork("host", "shared")
	return server, newClient(t, server)
}

func newClient(t *testing.T, server *gcetest.Server) *Compute {
	t.Helper()
	c, err := NewCompute(t.Context(), Options{Project: standProject, Endpoint: server.URL(), QPS: 1e6, Burst: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	c.pace = quickPace
	return c
}

// frontend is one load balancer of every kind of resource.
type frontend struct {
	address, firewall, check, group, service, urlMap, certificate, http, https, plain, secure Resource
}

func newFrontend(t *testing.T) frontend {
	t.Helper()
	id := func(kind Kind, name string) ID { return ID{Kind: kind, Name: name} }
	of := func(id ID, spec Spec) Resource { return Resource{ID: id, Mark: standMark, Spec: spec} }
	chain, key := newKeyPair(t)
	var f frontend
	f.address = of(id(KindAddress, "web-ip"), Address{})
	f.firewall = of(id(KindFirewall, "web-fw"), Firewall{
		Network: standNetwork, Ranges: []string{"130.211.0.0/22", "35.191.0.0/16"}, Ports: []int32{30080, 30081}, Tags: []string{"gke-a-node"},
	})
	f.check = of(id(KindHealthCheck, "web-hc"), HealthCheck{
		Protocol: "HTTP", Path: "/healthz", Interval: 10, Timeout: 5, Healthy: 1, Unhealthy: 3,
	})
	f.group = of(ID{Kind: KindGroup, Zone: standZone, Name: "web-neg"}, Group{
		Type: GroupOfMachines, Network: standNetwork, Subnetwork: "projects/" + standProject + "/regions/europe-west1/subnetworks/sub",
	})
	f.service = of(id(KindService, "web-be"), Service{
		Protocol: "HTTP", HealthCheck: f.check.ID, Timeout: 30, Drain: 60,
		Backends: []Backend{{Group: f.group.ID, MaxRate: 100, Capacity: 1}},
	})
	f.urlMap = of(id(KindURLMap, "web-um"), URLMap{
		Default: Target{Service: f.service.ID, NotFound: true},
		Hosts: []HostRule{{Host: "shop.example", Default: Target{Service: f.service.ID}, Paths: []PathRule{
			{Path: "/api", Prefix: true, Service: f.service.ID},
		}}},
	})
	f.certificate = of(id(KindCertificate, "web-cert"), Certificate{Chain: chain, Key: key})
	f.http = of(id(KindHTTPProxy, "web-tp"), Proxy{URLMap: f.urlMap.ID})
	f.https = of(id(KindHTTPSProxy, "web-tps"), Proxy{URLMap: f.urlMap.ID, Certificates: []ID{f.certificate.ID}})
	f.plain = of(id(KindRule, "web-fr"), Rule{Address: f.address.ID, Port: 80, Target: f.http.ID})
	f.secure = of(id(KindRule, "web-frs"), Rule{Address: f.address.ID, Port: 443, Target: f.https.ID})
	return f
}

// all are the resources in the order of creation.
func (f frontend) all() []Resource {
	return []Resource{
		f.address, f.firewall, f.check, f.group, f.service, f.urlMap, f.certificate, f.http, f.https, f.plain, f.secure,
	}
}

var standEndpoints = []Endpoint{
	{Instance: "node-1", Address: "10.0.0.1", Port: 30080}, {Instance: "node-2", Address: "10.0.0.2", Port: 30080},
}

// build makes all resources and attaches the endpoints.
func (f frontend) build(t *testing.T, c *Compute) {
	t.Helper()
	for _, r := range f.all() {
		mustDo(t, c, Action{Verb: Create, ID: r.ID, Want: r})
	}
	mustDo(t, c, Action{Verb: Attach, ID: f.group.ID, Want: f.group, Endpoints: standEndpoints})
}

func mustDo(t *testing.T, c *Compute, a Action) {
	t.Helper()
	if err := c.Do(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

// mustLook looks and fails if anything could not be read.
func mustLook(t *testing.T, c *Compute, scope Scope) Observed {
	t.Helper()
	scope.Owner = standOwner
	seen := c.Look(t.Context(), scope)
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

func encode(t *testing.T, value any) []byte {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode[T any](t *testing.T, data []byte) *T {
	t.Helper()
	out := new(T)
	if err := json.Unmarshal(data, out); err != nil {
		t.Fatal(err)
	}
	return out
}
