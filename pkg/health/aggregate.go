package health

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Address is one address of an Ingress, and the clusters that report it.
type Address struct {
	Address  string // an IP or a hostname
	Object   federation.ObjectRef
	Clusters []string // sorted
}

// Aggregate gives the addresses that Ingresses report over all clusters, each
// once for an Ingress, sorted by address and then by Ingress. An Ingress with one
// entry that names every cluster has what it is meant to have.
func Aggregate(observations []federation.Observation) []Address {
	type key struct {
		address string
		object  federation.ObjectRef
	}
	clusters := map[key][]string{}
	for _, o := range observations {
		if !isIngress(o.Object) {
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

func isIngress(r federation.ObjectRef) bool {
	return r.Kind == "Ingress" && (r.Group == "networking.k8s.io" || r.Group == "extensions")
}
