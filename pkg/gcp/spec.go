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
	// InUse says that a forwarding rule has it; observed.
	InUse bool
	// Users are the names of the global forwarding rules that have it; observed. One
	// that is being made stands here before it is listed.
	Users []string
}

// Firewall is a rule that lets traffic in to the nodes.
type Firewall struct {
	Network string   // "projects/P/global/networks/N"
	Ranges  []string // source ranges, sorted
	Ports   []int32  // TCP, sorted and unique
	Tags    []string // target tags, sorted; never empty
	// Disabled and Extra are observed: a rule of ours is never disabled, and
	// allows or denies nothing else.
	Disabled bool
	Extra    []string
}

// HealthCheck says how a backend is asked whether it is well.
type HealthCheck struct {
	Protocol string // "HTTP", "HTTPS", "HTTP2" or "TCP"
	Path     string // with a leading slash; empty for TCP
	Host     string // the Host header; empty for the address
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
	Subnetwork string // of machines alone
	// Endpoints are attached and detached by actions of their own; sorted.
	// Observed, they are nil where they were not read: Size counts them.
	Endpoints []Endpoint
	Size      int64 // observed
}

// Endpoint is one node at one node port.
type Endpoint struct {
	Instance string // the machine's name; empty elsewhere
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
	// Extra are observed backends that lead to groups that are not ours, as URLs:
	// they are left alone.
	Extra []string
}

// Backend is one group behind a backend service.
type Backend struct {
	Group    ID
	MaxRate  float64 // requests a second of the whole group
	Capacity float64 // 0, or 0.1 to 1: the share of MaxRate that is used
}

// URLMap leads requests to backend services by host and path.
type URLMap struct {
	Default Target
	Hosts   []HostRule // sorted by host
}

// HostRule is what the requests to one host follow. A host "*" is every other one.
type HostRule struct {
	Host    string
	Default Target
	Paths   []PathRule // in the order in which they match: the most specific first
}

// PathRule leads a path to a backend service.
type PathRule struct {
	Path    string // without a trailing wildcard
	Prefix  bool   // the path and what is below it, by whole elements; else the path alone
	Service ID
}

// Target is where a request goes: to a backend service, to a 404, or, by a redirect,
// to the same URL over HTTPS.
type Target struct {
	Service ID
	// NotFound answers 404 by fault injection in front of Service, which has no
	// backends.
	NotFound bool
	HTTPS    bool // redirect, with no Service
}

// Certificate is a certificate of the user's own. Its content cannot be changed, so
// another one has another name, and nothing but the name and the mark is compared.
type Certificate struct {
	// Chain and Key are PEM. They are wanted only; Key is never printed, see Secret.
	Chain string
	Key   Secret
}

// Secret is text that never shows: not in an error, a log or a report.
type Secret string

const hidden = "(hidden)"

// String hides the secret.
func (Secret) String() string { return hidden }

// Format hides it from every verb of fmt.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText hides it from JSON.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Proxy is a target proxy: for HTTP, or for HTTPS where its ID says so.
type Proxy struct {
	URLMap       ID
	Certificates []ID // in order; of HTTPS alone
}

// Rule is a global forwarding rule: it leads a port of the address to a proxy.
type Rule struct {
	Address ID     // wanted
	IP      string // observed, and what it is compared by once the address is known
	Port    int32  // 80 or 443
	Target  ID
	Scheme  string // observed: "EXTERNAL_MANAGED", or "EXTERNAL" of a rule that is not ours
}

// Admits reports whether the rule lets in all that another one does.
func (f Firewall) Admits(want Firewall) bool {
	return !f.Disabled && f.Network == want.Network &&
		containsAll(f.Ranges, want.Ranges) && containsAll(f.Ports, want.Ports) && containsAll(f.Tags, want.Tags)
}

func containsAll[T comparable](list, items []T) bool {
	return !slices.ContainsFunc(items, func(item T) bool { return !slices.Contains(list, item) })
}

// WithoutKey drops the private key: what is reported must not hold it at all.
func WithoutKey(s Spec) Spec {
	if c, ok := s.(Certificate); ok {
		c.Key = ""
		return c
	}
	return s
}

// MaxEndpoints is how many endpoints one call attaches or detaches at most, by the
// reference of networkEndpointGroups.
const MaxEndpoints = 500

// Compare orders endpoints by instance, address and port.
func (e Endpoint) Compare(o Endpoint) int {
	return cmp.Or(strings.Compare(e.Instance, o.Instance), strings.Compare(e.Address, o.Address), cmp.Compare(e.Port, o.Port))
}

// SortedSet returns the elements sorted and unique, in a list of its own.
func SortedSet[T cmp.Ordered](list []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
