package gcetest

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	compute "google.golang.org/api/compute/v1"
)

// Instance is a machine, as a test sets it.
type Instance struct {
	Project, Zone, Name string
	// Network and Subnetwork are names, or paths that begin with "projects/". They and
	// the zone are created if they do not exist.
	Network, Subnetwork string
	Address             string // primary internal IPv4
	Tags                []string
	ServiceAccount      string // email; empty means none
	Labels              map[string]string
	Status              string // empty means RUNNING
}

// inventoryCollections returns the collections that tests set and clients only read.
func inventoryCollections() []*collection {
	projects := &collection{service: "projects", segment: "projects", kind: "compute#project", scope: "global"}
	projects.add(&method{name: "get", verb: http.MethodGet, path: "projects/{project}", serve: getProject})
	zones := collectionOf[compute.Zone]("zones", zonesSegment, "zone", "global")
	zones.add(&method{name: "get", verb: http.MethodGet, path: "projects/{project}/zones/{name}", serve: get})
	zones.add(&method{name: "list", verb: http.MethodGet, path: "projects/{project}/zones", query: listQuery, serve: list})
	return []*collection{
		projects, zones,
		collectionOf[compute.Network]("networks", "networks", "network", "global").readable(),
		collectionOf[compute.Subnetwork]("subnetworks", "subnetworks", "subnetwork", "regions").readable().aggregated(),
		collectionOf[compute.Instance]("instances", "instances", "instance", "zones").readable().aggregated(),
	}
}

// quotaMetrics are the names of the quotas whose usage a project shows.
var quotaMetrics = map[string]string{
	"globalAddresses": "STATIC_ADDRESSES", "firewalls": "FIREWALLS", "healthChecks": "HEALTH_CHECKS",
	"networkEndpointGroups": "NETWORK_ENDPOINT_GROUPS", "instanceGroups": "INSTANCE_GROUPS",
	"backendServices": "BACKEND_SERVICES", "urlMaps": "URL_MAPS", "targetHttpProxies": "TARGET_HTTP_PROXIES",
	"targetHttpsProxies": "TARGET_HTTPS_PROXIES", "sslCertificates": "SSL_CERTIFICATES",
	"globalForwardingRules": "FORWARDING_RULES",
}

func metric(service string) string { return quotaMetrics[service] }

// unlimited is the limit that a project shows if Options.Quotas sets none.
const unlimited = 1000

func getProject(q *request) (any, *refusal) {
	s := q.server
	project := &compute.Project{
		Kind: "compute#project", Name: q.key.project, DefaultNetworkTier: "PREMIUM",
		SelfLink: publicHost + "projects/" + q.key.project,
	}
	for _, c := range s.collections {
		if metric(c.service) == "" {
			continue
		}
		limit := unlimited
		if n, ok := s.options.Quotas[c.service]; ok {
			limit = n
		}
		used := 0
		for k := range s.resources {
			if k.project == q.key.project && k.collection == c.segment {
				used++
			}
		}
		project.Quotas = append(project.Quotas, &compute.Quota{
			Metric: metric(c.service), Limit: float64(limit), Usage: float64(used),
		})
	}
	slices.SortFunc(project.Quotas, func(a, b *compute.Quota) int { return strings.Compare(a.Metric, b.Metric) })
	return project, nil
}

// AddNetwork adds a network of custom subnetworks.
func (s *Server) AddNetwork(project, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addNetwork(key{project, "global", "networks", name})
}

func (s *Server) addNetwork(k key) {
	if s.resources[k] == nil {
		s.set(k, documentOf(&compute.Network{Name: k.name, AutoCreateSubnetworks: false}))
	}
}

// AddSubnetwork adds a subnetwork in a region to a network, given by name or path.
func (s *Server) AddSubnetwork(project, region, name, network string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addSubnetwork(key{project, "regions/" + region, "subnetworks", name}, inventoryKey(network, project, "global", "networks"))
}

func (s *Server) addSubnetwork(k, network key) {
	s.addNetwork(network)
	if s.resources[k] == nil {
		region := publicHost + "projects/" + k.project + "/" + k.scope
		s.set(k, documentOf(&compute.Subnetwork{Name: k.name, Network: network.url(), Region: region}))
	}
}

// AddZone adds a zone, such as "europe-west1-b".
func (s *Server) AddZone(project, zone string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addZone(project, zone)
}

func (s *Server) addZone(project, zone string) {
	k := key{project, "global", zonesSegment, zone}
	if s.resources[k] == nil {
		region := publicHost + "projects/" + project + "/regions/" + regionOf(zone)
		s.set(k, documentOf(&compute.Zone{Name: zone, Region: region, Status: "UP"}))
	}
}

// regionOf returns a zone's region.
func regionOf(zone string) string {
	if i := strings.LastIndexByte(zone, '-'); i > 0 {
		return zone[:i]
	}
	return zone
}

// inventoryKey parses a name or a path.
func inventoryKey(ref, project, scope, collection string) key {
	if k, ok := parseKey(ref, project); ok {
		return k
	}
	return key{project, scope, collection, ref}
}

// SetInstance adds a machine, or replaces the one of that name.
func (s *Server) SetInstance(i Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addZone(i.Project, i.Zone)
	network := inventoryKey(i.Network, i.Project, "global", "networks")
	subnetwork := inventoryKey(i.Subnetwork, i.Project, "regions/"+regionOf(i.Zone), "subnetworks")
	s.addSubnetwork(subnetwork, network)
	machine := &compute.Instance{
		Name: i.Name, Status: i.Status, Labels: i.Labels,
		Zone: publicHost + "projects/" + i.Project + "/zones/" + i.Zone,
		Tags: &compute.Tags{Items: i.Tags, Fingerprint: s.nextFingerprint()},
		NetworkInterfaces: []*compute.NetworkInterface{{
			Name: "nic0", Network: network.url(), Subnetwork: subnetwork.url(), NetworkIP: i.Address,
		}},
	}
	if i.Status == "" {
		machine.Status = "RUNNING"
	}
	if i.ServiceAccount != "" {
		machine.ServiceAccounts = []*compute.ServiceAccount{{Email: i.ServiceAccount}}
	}
	s.set(key{i.Project, "zones/" + i.Zone, "instances", i.Name}, documentOf(machine))
}

// RemoveInstance removes a machine. Its endpoints stay, and fail.
func (s *Server) RemoveInstance(project, zone, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{project, "zones/" + zone, "instances", name}
	r := s.resources[k]
	if r == nil {
		return
	}
	delete(s.resources, k)
	s.put(r, state{})
	for _, group := range s.resources {
		if group.key.collection == "instanceGroups" && group.op == nil {
			members := slices.DeleteFunc(slices.Clone(group.now.members), func(m member) bool { return m.instance == k })
			if len(members) < len(group.now.members) {
				s.put(group, s.collections["instanceGroups"].sized(group.now.doc, members))
			}
		}
	}
}

func operationsCollection() *collection {
	c := &collection{service: "globalOperations", segment: "operations", kind: "compute#operation", scope: "global", typ: reflect.TypeFor[compute.Operation]()}
	for _, scope := range []struct{ service, path string }{
		{"globalOperations", "projects/{project}/global/operations"},
		{"zoneOperations", "projects/{project}/zones/{zone}/operations"},
	} {
		c.methods = append(c.methods,
			&method{name: scope.service + ".get", verb: http.MethodGet, path: scope.path + "/{name}", serve: getOperation},
			&method{name: scope.service + ".list", verb: http.MethodGet, path: scope.path, query: listQuery, serve: listOperations},
			&method{name: scope.service + ".wait", verb: http.MethodPost, path: scope.path + "/{name}/wait", serve: waitOperation, blocks: true},
		)
	}
	return c
}
