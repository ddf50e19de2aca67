package gcp

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Address is a global static IPv4 address.
type Address struct {
	IP string // observed; never compared
	// InUse is set if something uses it; observed.
	InUse bool
	// Users are the names of the global forwarding rules that use it; observed. A rule
	// that is being created appears here before it is listed.
	Users []string
}

// Firewall is a rule that admits traffic to the nodes.
type Firewall struct {
	Network string   // "projects/P/global/networks/N"
	Ranges  []string // source ranges, sorted
	Ports   []int32  // TCP, sorted and unique
	Tags    []string // target tags, sorted; never empty
	// Disabled and Extra are observed: fedsync never disables its rules, and they
	// allow or deny nothing else.
	Disabled bool
	Extra    []string
}

// HealthCheck is how a backend is probed.
type HealthCheck struct {
	Protocol string // "HTTP", "HTTPS", "HTTP2" or "TCP"
	Path     string // with a leading slash; empty for TCP
	Host     string // the Host header; empty for the endpoint's address
	// All in seconds.
	Interval, Timeout int64
	Healthy           int64 // answers in a row
	Unhealthy         int64
}

// The types of endpoint groups.
const (
	GroupOfMachines  = "GCE_VM_IP_PORT"          // endpoints are machines of Compute Engine
	GroupOfAddresses = "NON_GCP_PRIVATE_IP_PORT" // endpoints are addresses elsewhere
)

// Group is a zonal network endpoint group: the nodes of one cluster in one zone and
// subnetwork, at the node port of one port of one Service.
type Group struct {
	Type       string // GroupOfMachines or GroupOfAddresses
	Network    string
	Subnetwork string // only of machines
	// Endpoints are sorted. Actions of their own attach and detach them. In an observed
	// group they are nil if they were not read; Size counts them.
	Endpoints []Endpoint
	Size      int64 // observed
}

// Endpoint is one node at one node port.
type Endpoint struct {
	Instance string // the machine's name; empty outside Compute Engine
	Address  string // IPv4
	Port     int32  // the node port
}

// Service is a backend service: one port of one Service over all clusters.
type Service struct {
	Protocol    string // "HTTP", "HTTPS" or "HTTP2"
	HealthCheck ID
	Timeout     int64     // seconds for an answer
	Drain       int64     // seconds that connections have to end
	Backends    []Backend // sorted by group
	// Extra are the URLs of observed backends whose groups are not ours: they are left
	// unchanged.
	Extra []string
}

// Backend is one group behind a backend service.
type Backend struct {
	Group    ID
	MaxRate  float64 // requests per second of the whole group
	Capacity float64 // 0, or 0.1 to 1: the share of MaxRate that is used
}

// URLMap leads requests to backend services by host and path.
type URLMap struct {
	Default Target
	Hosts   []HostRule // sorted by host
}

// HostRule routes the requests to one host. The host "*" stands for every other host.
type HostRule struct {
	Host    string
	Default Target
	Paths   []PathRule // in matching order: the most specific first
}

// PathRule leads a path to a backend service.
type PathRule struct {
	Path    string // without a trailing wildcard
	Prefix  bool   // matches the path and all below it, by whole elements; else only the path
	Service ID
}

// Target is where a request goes: to a backend service, to a 404, or to the same URL
// over HTTPS by a redirect.
type Target struct {
	Service ID
	// NotFound answers 404 by fault injection in front of Service, which has no
	// backends.
	NotFound bool
	HTTPS    bool // redirect, with no Service
}

// Certificate is a certificate that the user provides. Its content cannot be changed,
// so each content has a name of its own, and only the name and the mark are compared.
type Certificate struct {
	// Chain and Key are PEM, and never observed. Key is never printed; see Secret.
	Chain string
	Key   Secret
}

// Secret is text that never appears in an error, a log or a report.
type Secret string

const hidden = "(hidden)"

// String hides the secret.
func (Secret) String() string { return hidden }

// Format hides it from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText hides it from JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Proxy is a target proxy for HTTP or HTTPS, by the kind of its ID.
type Proxy struct {
	URLMap       ID
	Certificates []ID // in order; only of HTTPS
}

// Rule is a global forwarding rule: it leads a port of the address to a proxy.
type Rule struct {
	Address ID     // wanted
	IP      string // observed; also wanted, for comparison, when the address is known
	Port    int32  // 80 or 443
	Target  ID
	Scheme  string // observed: "EXTERNAL_MANAGED", or "EXTERNAL" of a rule that is not ours
}

// Admits reports whether the rule admits all traffic that the wanted one does.
func (f Firewall) Admits(want Firewall) bool {
	return !f.Disabled && f.Network == want.Network &&
		containsAll(f.Ranges, want.Ranges) && containsAll(f.Ports, want.Ports) && containsAll(f.Tags, want.Tags)
}

func containsAll[T comparable](list, items []T) bool {
	return !slices.ContainsFunc(items, func(item T) bool { return !slices.Contains(list, item) })
}

// WithoutKey drops the private key, which no report may hold.
func WithoutKey(s Spec) Spec {
	if c, ok := s.(Certificate); ok {
		c.Key = ""
		return c
	}
	return s
}

// MaxEndpoints is how many endpoints one call may attach or detach, by the API
// reference of networkEndpointGroups.
const MaxEndpoints = 500

// Compare orders endpoints by instance, address and port.
func (e Endpoint) Compare(o Endpoint) int {
	return cmp.Or(strings.Compare(e.Instance, o.Instance), strings.Compare(e.Address, o.Address), cmp.Compare(e.Port, o.Port))
}

// SortedSet returns the elements sorted and unique, in a new list.
func SortedSet[T cmp.Ordered](list []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
