package planner_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

const testNetwork = "projects/p/global/networks/default"

var us = gcp.Owner{Federation: "fed", Source: "src"}

// world is the state of Git and the clusters, from which the wanted state follows.
type world struct {
	clusters  map[string]*testCluster
	ingresses map[string]*testIngress
	firewall  bool
	bare      bool // held resources are not among the wanted ones
}

type testCluster struct {
	zones    []string
	nodes    map[string]string // name to address
	drained  bool
	unseen   bool // it cannot be read: its groups are held
	rate     float64
	replaced int // how many nodes there ever were
}

type testIngress struct {
	services map[string]int32 // name to node port
	tls      int              // version of the certificate; 0 for none
	address  int              // version
	renamed  int              // forwarding rules
	own      bool             // the address is the user's
	timeout  int64
}

func mark(ingress string) gcp.Mark {
	return gcp.Mark{Federation: us.Federation, Source: us.Source, Ingress: "networking.k8s.io/Ingress/default/" + ingress}
}

func (w *world) wanted() gcp.Wanted {
	want := gcp.Wanted{Owner: us, Resources: map[gcp.ID]gcp.Resource{}, Held: map[gcp.ID]string{}}
	fw := gcp.Firewall{Network: testNetwork, Ranges: []string{"130.211.0.0/22", "35.191.0.0/16"}}
	for _, name := range slices.Sorted(maps.Keys(w.ingresses)) {
		in := w.ingresses[name]
		w.ingress(want, name, in)
		for _, port := range in.services {
			fw.Ports = append(fw.Ports, port)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.clusters)) {
		fw.Tags = append(fw.Tags, "tag-"+name)
	}
	if w.firewall && len(fw.Ports) > 0 && len(fw.Tags) > 0 {
		fw.Ports = gcp.SortedSet(fw.Ports)
		put(want, gcp.ID{Kind: gcp.KindFirewall, Name: "fs-fw"}, mark(""), fw)
	}
	return want
}

func put(want gcp.Wanted, id gcp.ID, m gcp.Mark, spec gcp.Spec) gcp.ID {
	want.Resources[id] = gcp.Resource{ID: id, Mark: m, Spec: spec}
	return id
}

func (w *world) ingress(want gcp.Wanted, name string, in *testIngress) {
	m := mark(name)
	address := gcp.ID{Kind: gcp.KindAddress, Name: fmt.Sprintf("fs-%s-%d", name, in.address)}
	if in.own {
		address.Name = fmt.Sprintf("user-%s-%d", name, in.address)
		put(want, address, gcp.Mark{}, gcp.Address{})
	} else {
		put(want, address, m, gcp.Address{})
	}
	urlMap := gcp.URLMap{}
	for _, service := range slices.Sorted(maps.Keys(in.services)) {
		id := w.service(want, name+"-"+service, in.services[service], in.timeout)
		if urlMap.Default.Service == (gcp.ID{}) {
			urlMap.Default.Service = id
			continue
		}
		urlMap.Hosts = append(urlMap.Hosts, gcp.HostRule{
			Host: service + ".example", Default: urlMap.Default,
			Paths: []gcp.PathRule{{Path: "/", Prefix: true, Service: id}},
		})
	}
	um := put(want, gcp.ID{Kind: gcp.KindURLMap, Name: "fs-" + name}, m, urlMap)
	proxy := put(want, gcp.ID{Kind: gcp.KindHTTPProxy, Name: "fs-" + name}, m, gcp.Proxy{URLMap: um})
	rule := func(port int32, target gcp.ID) {
		id := gcp.ID{Kind: gcp.KindRule, Name: fmt.Sprintf("fs-%d-%s-%d", in.renamed, address.Name, port)}
		put(want, id, m, gcp.Rule{Address: address, Port: port, Target: target})
	}
	rule(80, proxy)
	if in.tls > 0 {
		content := m
		content.Content = fmt.Sprint(in.tls)
		cert := put(want, gcp.ID{Kind: gcp.KindCertificate, Name: fmt.Sprintf("fs-%s-%d", name, in.tls)}, content, gcp.Certificate{Chain: "c", Key: "k"})
		rule(443, put(want, gcp.ID{Kind: gcp.KindHTTPSProxy, Name: "fs-" + name}, m, gcp.Proxy{URLMap: um, Certificates: []gcp.ID{cert}}))
	}
}

func (w *world) service(want gcp.Wanted, name string, port int32, timeout int64) gcp.ID {
	m := mark("")
	m.Service = name
	hc := put(want, gcp.ID{Kind: gcp.KindHealthCheck, Name: "fs-" + name}, m, gcp.HealthCheck{Protocol: "HTTP", Path: "/", Interval: 5, Timeout: 5, Healthy: 1, Unhealthy: 2})
	s := gcp.Service{Protocol: "HTTP", HealthCheck: hc, Timeout: timeout, Drain: 60}
	for _, cluster := range slices.Sorted(maps.Keys(w.clusters)) {
		c := w.clusters[cluster]
		for i, zone := range c.zones {
			gm := m
			gm.Cluster = cluster
			g := gcp.Group{Type: gcp.GroupOfMachines, Network: testNetwork, Subnetwork: "sub", Endpoints: []gcp.Endpoint{}}
			for j, node := range slices.Sorted(maps.Keys(c.nodes)) {
				if j%len(c.zones) == i {
					g.Endpoints = append(g.Endpoints, gcp.Endpoint{Instance: node, Address: c.nodes[node], Port: port})
				}
			}
			id := put(want, gcp.ID{Kind: gcp.KindGroup, Zone: zone, Name: "fs-" + name + "-" + cluster}, gm, g)
			capacity := 1.0
			if c.drained {
				capacity = 0
			}
			if c.unseen {
				want.Held[id] = "cluster " + cluster + " cannot be read"
				if w.bare {
					delete(want.Resources, id)
				}
			}
			s.Backends = append(s.Backends, gcp.Backend{Group: id, MaxRate: c.rate, Capacity: capacity})
		}
	}
	return put(want, gcp.ID{Kind: gcp.KindService, Name: "fs-" + name}, m, s)
}

func newWorld(rng *rand.Rand) *world {
	w := &world{clusters: map[string]*testCluster{}, ingresses: map[string]*testIngress{}, firewall: rng.IntN(8) > 0, bare: rng.IntN(2) == 0}
	for range 1 + rng.IntN(3) {
		w.join(rng)
	}
	for range 1 + rng.IntN(2) {
		w.addIngress(rng)
	}
	return w
}

func (w *world) join(rng *rand.Rand) {
	name := fmt.Sprintf("c%d", rng.IntN(5))
	if w.clusters[name] != nil {
		return
	}
	c := &testCluster{nodes: map[string]string{}, rate: 100}
	for i := range 1 + rng.IntN(2) {
		c.zones = append(c.zones, fmt.Sprintf("zone-%c", 'a'+i))
	}
	for range 1 + rng.IntN(4) {
		c.addNode(name)
	}
	w.clusters[name] = c
}

func (c *testCluster) addNode(cluster string) {
	c.replaced++
	node := fmt.Sprintf("%s-n%d", cluster, c.replaced)
	c.nodes[node] = fmt.Sprintf("10.%s.0.%d", cluster[1:], c.replaced%7) // addresses come back
	for other, address := range c.nodes {
		if other != node && address == c.nodes[node] {
			delete(c.nodes, other)
		}
	}
}

func (w *world) addIngress(rng *rand.Rand) {
	name := fmt.Sprintf("web%d", rng.IntN(3))
	if w.ingresses[name] != nil {
		return
	}
	in := &testIngress{services: map[string]int32{}, timeout: 30, own: rng.IntN(4) == 0, tls: rng.IntN(2)}
	for i := range 1 + rng.IntN(2) {
		in.services[fmt.Sprintf("s%d", i)] = 30000 + rng.Int32N(50)
	}
	w.ingresses[name] = in
}

// change causes an event in Git or in a cluster, and describes it.
func (w *world) change(rng *rand.Rand) string {
	cluster, ingress := pick(rng, w.clusters), pick(rng, w.ingresses)
	c, in := w.clusters[cluster], w.ingresses[ingress]
	switch kind := rng.IntN(15); {
	case kind == 0:
		w.join(rng)
		return "a cluster joins"
	case kind == 1 && len(w.clusters) > 1:
		delete(w.clusters, cluster)
		return cluster + " leaves"
	case kind == 2 && c != nil:
		c.drained = !c.drained && len(w.clusters) > 1
		return cluster + " drains or not"
	case kind == 3 && c != nil:
		c.unseen = !c.unseen
		return cluster + " unseen or seen"
	case kind == 4 && c != nil:
		c.rate += 10
		return cluster + " rate"
	case kind <= 6 && c != nil && !c.unseen:
		c.addNode(cluster)
		return cluster + " node added"
	case kind == 7 && c != nil && !c.unseen && len(c.nodes) > 0:
		delete(c.nodes, pick(rng, c.nodes))
		return cluster + " node removed"
	case kind == 8:
		w.addIngress(rng)
		return "ingress added"
	case kind == 9 && in != nil:
		delete(w.ingresses, ingress)
		return ingress + " removed"
	case kind == 10 && in != nil:
		in.tls = (in.tls + 1) % 4
		return ingress + " certificate"
	case kind == 11 && in != nil:
		in.services[pick(rng, in.services)] = 30000 + rng.Int32N(50)
		return ingress + " node port"
	case kind == 12 && in != nil:
		in.services[fmt.Sprintf("s%d", rng.IntN(3))] = 30000 + rng.Int32N(50)
		if len(in.services) > 1 && rng.IntN(2) == 0 {
			delete(in.services, pick(rng, in.services))
		}
		return ingress + " services"
	case kind == 13 && in != nil:
		in.address++
		return ingress + " address"
	case kind == 14 && in != nil:
		in.renamed++
		return ingress + " rules renamed"
	}
	return "nothing"
}

func pick[V any](rng *rand.Rand, m map[string]V) string {
	if len(m) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(m))[rng.IntN(len(m))]
}

// bystanders returns resources of other owners and without an owner.
func bystanders() []gcp.Resource {
	var list []gcp.Resource
	for i, owner := range gcptest.Others {
		m := gcp.Mark{Federation: owner.Federation, Source: owner.Source, Cluster: "c0"}
		g := gcp.ID{Kind: gcp.KindGroup, Zone: "zone-a", Name: fmt.Sprintf("other-%d", i)}
		s := gcp.ID{Kind: gcp.KindService, Name: g.Name}
		list = append(list,
			gcp.Resource{ID: g, Mark: m, Spec: gcp.Group{Type: gcp.GroupOfMachines, Network: testNetwork, Endpoints: []gcp.Endpoint{}}},
			gcp.Resource{ID: s, Mark: m, Spec: gcp.Service{Protocol: "HTTP", Backends: []gcp.Backend{{Group: g, Capacity: 1}}}},
			gcp.Resource{ID: gcp.ID{Kind: gcp.KindFirewall, Name: g.Name}, Mark: m, Spec: gcp.Firewall{Network: testNetwork, Tags: []string{"t"}}},
		)
	}
	return append(list, gcp.Resource{ID: gcp.ID{Kind: gcp.KindHealthCheck, Name: "k8s-be-30000--u"}, Spec: gcp.HealthCheck{Protocol: "HTTP"}})
}
