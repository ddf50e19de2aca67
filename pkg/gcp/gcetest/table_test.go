package gcetest

import (
	"fmt"
	"testing"

	compute "google.golang.org/api/compute/v1"
)

// BenchmarkTable computes the table of 50 load balancers over 13 groups of 3 endpoints.
func BenchmarkTable(b *testing.B) {
	s := New(Options{Projects: []string{project}})
	b.Cleanup(s.Close)
	for z := range 13 {
		for n := range 3 {
			s.SetInstance(Instance{
				Project: project, Zone: fmt.Sprintf("r%d-b", z), Name: fmt.Sprintf("n%d", n), Network: "vpc",
				Subnetwork: "nodes", Address: fmt.Sprintf("10.0.%d.%d", z, n+1),
			})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range 50 {
		s.setBalancer(i)
	}
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		k := key{project, "global", servicesSegment, fmt.Sprintf("lb%d", i%50)}
		s.put(s.resources[k], s.collections[servicesSegment].state(s.resources[k].now.doc, nil))
		s.table()
	}
}

// setBalancer sets all resources of a load balancer without operations.
func (s *Server) setBalancer(i int) {
	name := fmt.Sprintf("lb%d", i)
	in := func(scope, collection string) key { return key{project, scope, collection, name} }
	bs, um, tp := in("global", servicesSegment), in("global", mapsSegment), in("global", httpProxiesSegment)
	service := &compute.BackendService{Name: name, LoadBalancingScheme: schemeManaged}
	for z := range 13 {
		group := in(fmt.Sprintf("zones/r%d-b", z), groupsSegment)
		s.set(group, documentOf(machineGroup(name)))
		var members []member
		for n := range 3 {
			machine := key{project, group.scope, "instances", fmt.Sprintf("n%d", n)}
			members = append(members, member{instance: machine, address: fmt.Sprintf("10.0.%d.%d", z, n+1), port: 30080})
		}
		r := s.resources[group]
		s.put(r, s.collections[groupsSegment].sized(r.now.doc, members))
		service.Backends = append(service.Backends, &compute.Backend{Group: group.url(), BalancingMode: "RATE", MaxRate: 100, CapacityScaler: 1})
	}
	s.set(bs, documentOf(service))
	s.set(um, documentOf(&compute.UrlMap{Name: name, DefaultService: bs.url()}))
	s.set(tp, documentOf(&compute.TargetHttpProxy{Name: name, UrlMap: um.url()}))
	s.set(in("global", rulesSegment), documentOf(&compute.ForwardingRule{
		Name: name, IPAddress: fmt.Sprintf("203.0.113.%d", i), PortRange: "80-80", Target: tp.url(),
	}))
}
