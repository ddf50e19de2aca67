package gcetest

import (
	compute "google.golang.org/api/compute/v1"
)

// Snapshot is the state at one time. Each list is sorted by self link. An inserted
// resource is in it from RUNNING on.
type Snapshot struct {
	Addresses       []*compute.Address
	Firewalls       []*compute.Firewall
	HealthChecks    []*compute.HealthCheck
	EndpointGroups  []*compute.NetworkEndpointGroup
	InstanceGroups  []*compute.InstanceGroup
	BackendServices []*compute.BackendService
	URLMaps         []*compute.UrlMap
	Certificates    []*compute.SslCertificate // without keys
	HTTPProxies     []*compute.TargetHttpProxy
	HTTPSProxies    []*compute.TargetHttpsProxy
	ForwardingRules []*compute.ForwardingRule
	// Endpoints are the endpoints of each group, by the group's self link.
	Endpoints map[string][]*compute.NetworkEndpoint
	// Operations are all accepted operations, oldest first.
	Operations []*compute.Operation
}

// Snapshot returns the present state. The values are copies.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Snapshot{
		Addresses:       shownAs[compute.Address](s, "addresses"),
		Firewalls:       shownAs[compute.Firewall](s, "firewalls"),
		HealthChecks:    shownAs[compute.HealthCheck](s, "healthChecks"),
		EndpointGroups:  shownAs[compute.NetworkEndpointGroup](s, groupsSegment),
		InstanceGroups:  shownAs[compute.InstanceGroup](s, instanceGroupsSegment),
		BackendServices: shownAs[compute.BackendService](s, servicesSegment),
		URLMaps:         shownAs[compute.UrlMap](s, mapsSegment),
		Certificates:    shownAs[compute.SslCertificate](s, certificatesSegment),
		HTTPProxies:     shownAs[compute.TargetHttpProxy](s, httpProxiesSegment),
		HTTPSProxies:    shownAs[compute.TargetHttpsProxy](s, httpsProxiesSegment),
		ForwardingRules: shownAs[compute.ForwardingRule](s, rulesSegment),
		Endpoints:       map[string][]*compute.NetworkEndpoint{},
	}
	for _, r := range s.resources {
		if r.key.collection == groupsSegment && r.now.doc != nil {
			endpoints := []*compute.NetworkEndpoint{}
			for _, m := range r.now.members {
				endpoints = append(endpoints, m.endpoint())
			}
			out.Endpoints[r.key.url()] = endpoints
		}
	}
	for _, op := range s.operationOrder {
		out.Operations = append(out.Operations, op.answer())
	}
	return out
}

func shownAs[T any](s *Server, segment string) []*T {
	var out []*T
	for _, r := range s.sorted(func(r *resource) bool { return r.key.collection == segment && r.now.doc != nil }) {
		out = append(out, as[T](s.shown(r)))
	}
	return out
}
