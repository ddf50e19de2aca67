package gcetest

import (
	"fmt"
	"reflect"
	"slices"

	compute "google.golang.org/api/compute/v1"
)

// The schemes that the stand-in supports.
const (
	schemeClassic = "EXTERNAL"
	schemeManaged = "EXTERNAL_MANAGED"
)

const servicesSegment = "backendServices"

// maxBackends is the API's limit on the groups of a backend service.
const maxBackends = 50

func backendServices() *collection {
	c := collectionOf[compute.BackendService](servicesSegment, servicesSegment, "backendService", "global")
	c.lock = "fingerprint"
	c.refs = []refField{
		{"healthChecks.*", []string{"healthChecks"}},
		{"backends.*.group", []string{groupsSegment, instanceGroupsSegment}},
	}
	c.immutable = []string{"loadBalancingScheme"}
	c.output = []string{"generatedId", "usedBy"}
	c.check = checkBackendService
	c.readable().aggregated().writable("patch", "update").testable()
	return c.add(&method{
		name: "getHealth", verb: "POST", path: c.root() + "/{name}/getHealth",
		body: reflect.TypeFor[compute.ResourceGroupReference](), serve: getHealth,
	})
}

func checkBackendService(d *draft) *refusal {
	for field, value := range map[string]any{
		"loadBalancingScheme": schemeClassic, "protocol": "HTTP", "timeoutSec": 30, "sessionAffinity": "NONE",
		"affinityCookieTtlSec": 0, "portName": "http",
	} {
		d.doc.setDefault(field, value)
	}
	if _, ok := d.doc["connectionDraining"]; !ok {
		d.doc["connectionDraining"] = map[string]any{"drainingTimeoutSec": 0}
	}
	for _, backend := range d.doc.objects("backends") {
		backend.setDefault("capacityScaler", 1)
		if k, ok := parseKey(backend.text("group"), d.key.project); ok && k.collection == instanceGroupsSegment {
			backend.setDefault("balancingMode", "UTILIZATION")
		}
	}
	service := as[compute.BackendService](d.doc)
	if !slices.Contains([]string{schemeClassic, schemeManaged}, service.LoadBalancingScheme) {
		return badField("loadBalancingScheme", service.LoadBalancingScheme, "The stand-in supports EXTERNAL and EXTERNAL_MANAGED.")
	}
	if !slices.Contains([]string{"HTTP", "HTTPS", "HTTP2"}, service.Protocol) {
		return badField("protocol", service.Protocol, "The stand-in supports HTTP, HTTPS and HTTP2.")
	}
	if service.TimeoutSec < 1 || service.TimeoutSec > 1<<31-1 {
		return badField("timeoutSec", service.TimeoutSec, "Must be between 1 and 2147483647.")
	}
	if t := service.ConnectionDraining.DrainingTimeoutSec; t < 0 || t > 3600 {
		return badField("connectionDraining.drainingTimeoutSec", t, "Must be between 0 and 3600.")
	}
	if n := len(service.HealthChecks); n > 1 || n == 0 && len(service.Backends) > 0 {
		return badField("healthChecks", n, "Exactly one health check is required with backends.")
	}
	return d.checkBackends(service.Backends)
}

func (d *draft) checkBackends(backends []*compute.Backend) *refusal {
	if len(backends) > maxBackends {
		return badField("backends", len(backends), "At most %d are allowed.", maxBackends)
	}
	seen := map[key]bool{}
	kinds := map[string]bool{}
	capacity := 0.0
	for i, b := range backends {
		at := fmt.Sprintf("backends[%d].", i)
		k, ok := parseKey(b.Group, d.key.project)
		if !ok {
			return refuse(400, reasonRequired, "Required field 'resource.%sgroup' not specified", at)
		}
		if seen[k] {
			return badField(at+"group", b.Group, "Duplicate instance groups or network endpoint groups in backend service.")
		}
		seen[k], kinds[k.collection] = true, true
		if refused := checkBackend(at, b, k.collection == groupsSegment); refused != nil {
			return refused
		}
		if k.collection == instanceGroupsSegment {
			for _, m := range d.server.resources[k].now.members {
				if refused := d.server.onlyGroup(m.instance, k); refused != nil {
					return refused
				}
			}
		}
		capacity += b.CapacityScaler
	}
	if len(kinds) > 1 {
		return badField("backends", len(backends), "Instance groups and network endpoint groups cannot be mixed in a backend service.")
	}
	if len(backends) > 0 && capacity == 0 {
		return badField("backends[0].capacityScaler", 0, "It cannot be 0 for the only backend with capacity.")
	}
	return nil
}

func checkBackend(at string, b *compute.Backend, endpoints bool) *refusal {
	if c := b.CapacityScaler; c != 0 && c < 0.1 || c < 0 || c > 1 {
		return badField(at+"capacityScaler", c, "Must be 0.0 or between 0.1 and 1.0.")
	}
	if b.MaxConnections+b.MaxConnectionsPerEndpoint+b.MaxConnectionsPerInstance != 0 {
		return badField(at+"maxConnections", b.MaxConnections, "Connections are not for backend services of HTTP.")
	}
	if b.MaxRate < 0 || b.MaxRatePerEndpoint < 0 || b.MaxRatePerInstance < 0 {
		return badField(at+"maxRate", b.MaxRate, "Must not be negative.")
	}
	rates := 0
	for _, set := range []bool{b.MaxRate > 0, b.MaxRatePerEndpoint > 0, b.MaxRatePerInstance > 0} {
		if set {
			rates++
		}
	}
	if endpoints {
		if b.BalancingMode != "RATE" {
			return badField(at+"balancingMode", b.BalancingMode, "Network endpoint groups need RATE.")
		}
		if b.MaxRatePerInstance > 0 {
			return badField(at+"maxRatePerInstance", b.MaxRatePerInstance, "It is only for instance groups.")
		}
		if b.MaxUtilization > 0 {
			return badField(at+"maxUtilization", b.MaxUtilization, "It is not for RATE of network endpoint groups.")
		}
		if rates != 1 {
			return badField(at+"maxRate", b.MaxRate, "Exactly one of maxRate and maxRatePerEndpoint must be set.")
		}
		return nil
	}
	return checkInstanceBackend(at, b, rates)
}

func checkInstanceBackend(at string, b *compute.Backend, rates int) *refusal {
	if b.MaxRatePerEndpoint > 0 {
		return badField(at+"maxRatePerEndpoint", b.MaxRatePerEndpoint, "It is only for network endpoint groups.")
	}
	switch {
	case b.BalancingMode == "RATE" && rates != 1:
		return badField(at+"maxRate", b.MaxRate, "Exactly one of maxRate and maxRatePerInstance must be set.")
	case b.BalancingMode == "UTILIZATION" && rates > 1:
		return badField(at+"maxRate", b.MaxRate, "At most one of maxRate and maxRatePerInstance may be set.")
	case b.BalancingMode != "RATE" && b.BalancingMode != "UTILIZATION":
		return badField(at+"balancingMode", b.BalancingMode, "Must be RATE or UTILIZATION.")
	case b.MaxUtilization < 0 || b.MaxUtilization > 1:
		return badField(at+"maxUtilization", b.MaxUtilization, "Must be between 0.0 and 1.0.")
	}
	return nil
}
