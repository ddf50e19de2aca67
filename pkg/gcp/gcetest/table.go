package gcetest

import (
	"crypto/tls"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	compute "google.golang.org/api/compute/v1"
)

// table holds the resources in the form that probes and traffic need. It is immutable,
// and replaced when something has changed.
type table struct {
	generation uint64
	fronts     map[string]*front         // by "IP:port"
	services   map[key]*balanced         // those that a forwarding rule leads to
	reached    map[*compute.UrlMap][]key // the services of each map
}

// front is one forwarding rule with its proxy.
type front struct {
	rule         *compute.ForwardingRule
	urlMap       *compute.UrlMap
	https        bool
	certificates []*tls.Certificate
}

// balanced is a backend service with its groups.
type balanced struct {
	key     key
	service *compute.BackendService
	check   *compute.HealthCheck // nil if it has none
	groups  []poolGroup
}

// poolGroup is one backend with its endpoints.
type poolGroup struct {
	key       key
	stored    any     // the group as its generated type
	capacity  float64 // scaler
	rate      float64 // of the whole group, or of each endpoint
	each      bool
	endpoints []endpoint
}

// endpoint is one address and port behind a backend service, as it is probed.
type endpoint struct {
	service, group key
	machine        key // zero for an address outside Compute Engine
	address        string
	port           int64
}

func (e endpoint) hostPort() string {
	return net.JoinHostPort(e.address, strconv.FormatInt(e.port, 10))
}

// table returns the current table. The caller holds s.mu.
func (s *Server) table() *table {
	if s.tables == nil || s.tables.generation != s.generation {
		s.tables = s.newTable()
	}
	return s.tables
}

// newTable returns a new table. It reuses the parts of the previous table whose resources
// are the same: stored values never change, so equal pointers mean equal values.
func (s *Server) newTable() *table {
	t := &table{
		generation: s.generation, fronts: map[string]*front{}, services: map[key]*balanced{},
		reached: map[*compute.UrlMap][]key{},
	}
	before := s.tables
	if before == nil {
		before = &table{}
	}
	for _, r := range s.resources {
		rule, ok := r.now.typed.(*compute.ForwardingRule)
		if !ok || !r.ready {
			continue
		}
		f := s.newFront(rule)
		if f == nil {
			continue
		}
		port, _, _ := strings.Cut(rule.PortRange, "-")
		t.fronts[net.JoinHostPort(rule.IPAddress, port)] = f
		services, ok := before.reached[f.urlMap]
		if !ok {
			services = s.servicesOf(s.resources[mustKey(f.urlMap.SelfLink)].now.doc)
		}
		t.reached[f.urlMap] = services
		for _, k := range services {
			if t.services[k] != nil {
				continue
			}
			if old := before.services[k]; old != nil && s.current(old) {
				t.services[k] = old
			} else {
				t.services[k] = s.newPool(k)
			}
		}
	}
	return t
}

// mustKey returns the key of a reference that has been checked.
func mustKey(ref string) key {
	k, _ := parseKey(ref, "")
	return k
}

func (s *Server) newFront(rule *compute.ForwardingRule) *front {
	f := &front{rule: rule}
	target := mustKey(rule.Target)
	if proxy := typed[compute.TargetHttpProxy](s, target); proxy != nil {
		f.urlMap = typed[compute.UrlMap](s, mustKey(proxy.UrlMap))
	}
	if proxy := typed[compute.TargetHttpsProxy](s, target); proxy != nil {
		f.https = true
		f.urlMap = typed[compute.UrlMap](s, mustKey(proxy.UrlMap))
		for _, ref := range proxy.SslCertificates {
			if pair := s.pair(mustKey(ref)); pair != nil {
				f.certificates = append(f.certificates, pair)
			}
		}
	}
	if f.urlMap == nil {
		return nil
	}
	return f
}

// current reports whether all resources that a pool depends on are still the same.
func (s *Server) current(b *balanced) bool {
	if typed[compute.BackendService](s, b.key) != b.service ||
		len(b.service.HealthChecks) > 0 && typed[compute.HealthCheck](s, mustKey(b.service.HealthChecks[0])) != b.check {
		return false
	}
	return !slices.ContainsFunc(b.groups, func(g poolGroup) bool {
		r := s.resources[g.key]
		// An instance group has the addresses of its machines.
		return r == nil || r.now.typed != g.stored || g.key.collection == instanceGroupsSegment
	})
}

func (s *Server) newPool(k key) *balanced {
	service := typed[compute.BackendService](s, k)
	if service == nil {
		service = &compute.BackendService{}
	}
	p := &balanced{key: k, service: service}
	if len(service.HealthChecks) > 0 {
		p.check = typed[compute.HealthCheck](s, mustKey(service.HealthChecks[0]))
	}
	for _, b := range service.Backends {
		g := poolGroup{key: mustKey(b.Group), capacity: b.CapacityScaler}
		switch {
		case b.MaxRate > 0:
			g.rate = float64(b.MaxRate)
		case b.MaxRatePerEndpoint > 0:
			g.rate, g.each = b.MaxRatePerEndpoint, true
		case b.MaxRatePerInstance > 0:
			g.rate, g.each = b.MaxRatePerInstance, true
		default:
			g.rate, g.each = 1, true // by utilization: all machines have an equal share
		}
		if r := s.resources[g.key]; r != nil {
			g.stored = r.now.typed
		}
		g.endpoints = s.endpointsOf(k, g.key, service.PortName)
		p.groups = append(p.groups, g)
	}
	return p
}

// endpointsOf returns the endpoints of a group of either kind. The machines of an
// instance group have the named port.
func (s *Server) endpointsOf(service, group key, portName string) []endpoint {
	r := s.resources[group]
	if r == nil {
		return nil
	}
	var port int64
	if instances, ok := r.now.typed.(*compute.InstanceGroup); ok {
		i := slices.IndexFunc(instances.NamedPorts, func(p *compute.NamedPort) bool { return p.Name == portName })
		if i < 0 {
			return nil
		}
		port = instances.NamedPorts[i].Port
	}
	var out []endpoint
	for _, m := range r.now.members {
		e := endpoint{service: service, group: group, machine: m.instance, address: m.address, port: m.port}
		if port != 0 {
			machine := typed[compute.Instance](s, m.instance)
			if machine == nil {
				continue
			}
			e.address, e.port = machine.NetworkInterfaces[0].NetworkIP, port
		}
		out = append(out, e)
	}
	return out
}

// draining returns how long requests under way may last after their endpoint is removed.
func (p *balanced) draining() time.Duration {
	if p.service.ConnectionDraining == nil {
		return 0
	}
	return time.Duration(p.service.ConnectionDraining.DrainingTimeoutSec) * time.Second
}
