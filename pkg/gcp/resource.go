package gcp

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Kind is a kind of resource of Compute Engine, in the words that users read.
type Kind string

// The kinds that fedsync makes, in the order of creation.
const (
	KindAddress     Kind = "address"
	KindFirewall    Kind = "firewall rule"
	KindHealthCheck Kind = "health check"
	KindGroup       Kind = "endpoint group"
	KindService     Kind = "backend service"
	KindURLMap      Kind = "URL map"
	KindCertificate Kind = "certificate"
	KindHTTPProxy   Kind = "HTTP proxy"
	KindHTTPSProxy  Kind = "HTTPS proxy"
	KindRule        Kind = "forwarding rule"
)

// Kinds are all of them, in the order of creation: what a resource refers to stands
// before it.
var Kinds = []Kind{
	KindAddress, KindFirewall, KindHealthCheck, KindGroup, KindService,
	KindURLMap, KindCertificate, KindHTTPProxy, KindHTTPSProxy, KindRule,
}

// ID names a resource. All are of the load balancer's project.
type ID struct {
	Kind Kind
	Zone string // of an endpoint group; empty for all others, which are global
	Name string
}

// String gives the ID as users read it: "backend service fedsync-1a2b3c4d-nginx-80".
func (id ID) String() string {
	if id.Zone != "" {
		return string(id.Kind) + " " + id.Zone + "/" + id.Name
	}
	return string(id.Kind) + " " + id.Name
}

// Compare orders IDs by the order of creation, then by zone and name.
func (id ID) Compare(o ID) int {
	return cmp.Or(
		cmp.Compare(id.Kind.Rank(), o.Kind.Rank()),
		strings.Compare(id.Zone, o.Zone),
		strings.Compare(id.Name, o.Name),
	)
}

// Rank returns the place of the kind in the order of creation.
func (k Kind) Rank() int {
	for i, kind := range Kinds {
		if kind == k {
			return i
		}
	}
	return len(Kinds)
}

// Resource is one resource, wanted or observed.
type Resource struct {
	ID   ID
	Mark Mark // zero where it is not ours
	Spec Spec
	// Fingerprint is the lock of an observed resource, where its kind has one.
	Fingerprint string
	// Description is the observed one where it holds no mark of fedsync's: it helps
	// to tell whose the resource is. Untrusted text.
	Description string
}

// Spec is what fedsync owns of a resource: a value of one of the types in spec.go.
// Fields of Compute Engine that are missing there are left alone.
type Spec interface {
	// refs are the resources that this one points at: they exist before it does,
	// and are deleted only when nothing points at them.
	refs() []ID
	// differs names the fields, as Compute Engine does, in which the observed spec
	// of the same kind is not as this one, sorted.
	differs(observed Spec) []string
}

// References returns the resources that this one points at.
func (r Resource) References() []ID {
	if r.Spec == nil {
		return nil
	}
	return r.Spec.refs()
}

// Differences returns the fields, named as Compute Engine names them, in which the observed
// spec is not as the wanted one, sorted. A spec of another kind differs in all of them.
func Differences(want, observed Spec) []string { return want.differs(observed) }

// SortedIDs returns the IDs in their order.
func SortedIDs(resources map[ID]Resource) []ID {
	return slices.SortedFunc(maps.Keys(resources), ID.Compare)
}
