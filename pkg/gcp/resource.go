package gcp

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Kind is a kind of Compute Engine resource, as shown to users.
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

// Kinds are all kinds in the order of creation: a resource refers only to kinds before
// its own.
var Kinds = []Kind{
	KindAddress, KindFirewall, KindHealthCheck, KindGroup, KindService,
	KindURLMap, KindCertificate, KindHTTPProxy, KindHTTPSProxy, KindRule,
}

// ID identifies a resource in the load balancer's project.
type ID struct {
	Kind Kind
	Zone string // of an endpoint group; empty for all other kinds, which are global
	Name string
}

// String returns the ID as shown to users: "backend service fedsync-1a2b3c4d-nginx-80".
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

// Rank returns the position of the kind in the order of creation.
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
	Mark Mark // zero if it is not ours
	Spec Spec
	// Fingerprint is the optimistic lock of an observed resource, if its kind has one.
	Fingerprint string
	// Description is the observed description if it holds no mark of fedsync. It hints
	// at the resource's owner. Untrusted text.
	Description string
}

// Spec holds the fields of a resource that fedsync owns: a value of one of the types in
// spec.go. All other fields of Compute Engine are left unchanged.
type Spec interface {
	// refs returns the resources that this one refers to: they exist before it does,
	// and are deleted only when nothing refers to them.
	refs() []ID
	// differs returns the sorted Compute Engine names of the fields in which the
	// observed spec of the same kind differs from this one.
	differs(observed Spec) []string
}

// References returns the resources that this one refers to.
func (r Resource) References() []ID {
	if r.Spec == nil {
		return nil
	}
	return r.Spec.refs()
}

// Differences returns the sorted Compute Engine names of the fields in which the
// observed spec differs from the wanted one. A spec of another kind differs in all.
func Differences(want, observed Spec) []string { return want.differs(observed) }

// SortedIDs returns the IDs of the resources, sorted.
func SortedIDs(resources map[ID]Resource) []ID {
	return slices.SortedFunc(maps.Keys(resources), ID.Compare)
}
