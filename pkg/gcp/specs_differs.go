package gcp

import (
	"cmp"
	"slices"
	"strings"
)

// Scheme is the load balancing scheme of every resource that fedsync creates.
const Scheme = "EXTERNAL_MANAGED"

// FieldDescription is the field that holds the mark.
const FieldDescription = "description"

// differences collects the names of fields.
type differences []string

func (d *differences) add(field string, differ bool) {
	if differ {
		*d = append(*d, field)
	}
}

func (d differences) sorted() []string {
	slices.Sort(d)
	return slices.Compact(d)
}

// The methods below compare an observed spec of another type as an empty one.

func (Address) differs(Spec) []string { return nil }

func (f Firewall) differs(observed Spec) []string {
	o, _ := observed.(Firewall)
	var d differences
	d.add("network", f.Network != o.Network)
	d.add("sourceRanges", !sameSet(f.Ranges, o.Ranges))
	d.add("allowed", !sameSet(f.Ports, o.Ports) || len(o.Extra) > 0)
	d.add("targetTags", !sameSet(f.Tags, o.Tags))
	d.add("disabled", o.Disabled)
	return d.sorted()
}

func (h HealthCheck) differs(observed Spec) []string {
	o, _ := observed.(HealthCheck)
	var d differences
	d.add("type", h.Protocol != o.Protocol)
	d.add("requestPath", h.Path != o.Path)
	d.add("host", h.Host != o.Host)
	d.add("checkIntervalSec", h.Interval != o.Interval)
	d.add("timeoutSec", h.Timeout != o.Timeout)
	d.add("healthyThreshold", h.Healthy != o.Healthy)
	d.add("unhealthyThreshold", h.Unhealthy != o.Unhealthy)
	return d.sorted()
}

// The endpoints of a group are not compared: actions of their own change them.
func (g Group) differs(observed Spec) []string {
	o, _ := observed.(Group)
	var d differences
	d.add("networkEndpointType", g.Type != o.Type)
	d.add("network", g.Network != o.Network)
	d.add("subnetwork", g.Subnetwork != o.Subnetwork)
	return d.sorted()
}

func (s Service) differs(observed Spec) []string {
	o, _ := observed.(Service)
	var d differences
	d.add("protocol", s.Protocol != o.Protocol)
	d.add("healthChecks", s.HealthCheck != o.HealthCheck)
	d.add("timeoutSec", s.Timeout != o.Timeout)
	d.add("connectionDraining", s.Drain != o.Drain)
	d.add("backends", !slices.Equal(SortedBackends(s.Backends), SortedBackends(o.Backends)))
	return d.sorted()
}

// SortedBackends returns the backends in the order of their groups.
func SortedBackends(backends []Backend) []Backend {
	return slices.SortedFunc(slices.Values(backends), func(a, b Backend) int { return a.Group.Compare(b.Group) })
}

func (m URLMap) differs(observed Spec) []string {
	o, _ := observed.(URLMap)
	var d differences
	d.add("defaultService", m.Default.Service != o.Default.Service)
	d.add("defaultRouteAction", m.Default.NotFound != o.Default.NotFound)
	d.add("defaultUrlRedirect", m.Default.HTTPS != o.Default.HTTPS)
	mine, theirs := sortedHosts(m.Hosts), sortedHosts(o.Hosts)
	d.add("hostRules", !slices.EqualFunc(mine, theirs, func(a, b HostRule) bool { return a.Host == b.Host }))
	d.add("pathMatchers", !slices.EqualFunc(mine, theirs, func(a, b HostRule) bool {
		return a.Default == b.Default && slices.Equal(a.Paths, b.Paths)
	}))
	return d.sorted()
}

func sortedHosts(hosts []HostRule) []HostRule {
	return slices.SortedFunc(slices.Values(hosts), func(a, b HostRule) int { return strings.Compare(a.Host, b.Host) })
}

// A certificate's content cannot be read back: the mark holds its digest.
func (Certificate) differs(Spec) []string { return nil }

func (p Proxy) differs(observed Spec) []string {
	o, _ := observed.(Proxy)
	var d differences
	d.add("urlMap", p.URLMap != o.URLMap)
	d.add("sslCertificates", !slices.Equal(p.Certificates, o.Certificates))
	return d.sorted()
}

// The address is compared by its IP, if that is known: the address's name cannot be
// read back.
func (r Rule) differs(observed Spec) []string {
	o, _ := observed.(Rule)
	var d differences
	d.add("IPAddress", r.IP != "" && r.IP != o.IP)
	d.add("portRange", r.Port != o.Port)
	d.add("target", r.Target != o.Target)
	d.add("loadBalancingScheme", o.Scheme != "" && o.Scheme != Scheme)
	return d.sorted()
}

// sameSet reports whether two lists have the same elements, regardless of order and
// repetition.
func sameSet[T cmp.Ordered](a, b []T) bool {
	return slices.Equal(SortedSet(a), SortedSet(b))
}
