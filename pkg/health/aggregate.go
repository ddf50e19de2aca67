package health

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Address is one address of an Ingress or a Gateway, and the clusters that report it.
type Address struct {
	Address  string // an IP or a hostname
	Object   federation.ObjectRef
	Clusters []string // sorted
}

// Aggregate gives the addresses that Ingresses and Gateways report over all clusters, each
// once for an object, sorted by address and then by object. An Ingress with one
// entry that names every cluster has what it is meant to have.
func Aggregate(observations []federation.Observation) []Address {
	type key struct {
		address string
		object  federation.ObjectRef
	}
	clusters := map[key][]string{}
	for _, o := range observations {
		if !o.Object.IsIngress() && !o.Object.IsGateway() {
			continue
		}
		for _, address := range o.Addresses {
			k := key{address, o.Object}
			clusters[k] = append(clusters[k], o.Cluster)
		}
	}
	list := make([]Address, 0, len(clusters))
	for k, names := range clusters {
		list = append(list, Address{Address: k.address, Object: k.object, Clusters: sorted(names)})
	}
	slices.SortFunc(list, func(a, b Address) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), a.Object.Compare(b.Object))
	})
	return list
}
