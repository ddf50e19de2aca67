package facts

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// labelService names the Service of an EndpointSlice.
const labelService = "kubernetes.io/service-name"

// maxEndpoints is how many addresses of a Service are retained for display.
const maxEndpoints = 8

// slice is what is remembered of an EndpointSlice.
type slice struct {
	service string
	label   string // the value of our label, which slices copy from their Service
	family  string // IPv4, IPv6 or FQDN
	ready   int
	waiting int // endpoints that are not ready
	// addresses are the first ready ones.
	addresses []string
}

// readSlice counts endpoints. A terminating endpoint is neither ready nor awaited.
func readSlice(u *unstructured.Unstructured, label string) slice {
	s := slice{service: u.GetLabels()[labelService], label: label, family: live.Text(u, "addressType")}
	port := firstPort(u)
	for _, endpoint := range live.Objects(u, "endpoints") {
		object := &unstructured.Unstructured{Object: endpoint}
		switch {
		case live.Flag(object, false, "conditions", "terminating"):
		case live.Flag(object, true, "conditions", "ready"): // ready by default
			s.ready++
			// All addresses of an endpoint are equivalent.
			addresses, _, _ := unstructured.NestedStringSlice(endpoint, "addresses")
			if len(addresses) > 0 {
				s.addresses = append(s.addresses, join(untrusted.Line(addresses[0]), port))
			}
		default:
			s.waiting++
		}
	}
	s.addresses = firstAddresses(s.addresses)
	return s
}

func firstPort(u *unstructured.Unstructured) int32 {
	var first int32
	for _, p := range live.Objects(u, "ports") {
		if port := live.PortNumber(p["port"]); port != 0 && (first == 0 || port < first) {
			first = port
		}
	}
	return first
}

func join(address string, port int32) string {
	if port == 0 {
		return address
	}
	return net.JoinHostPort(address, strconv.Itoa(int(port)))
}

// firstAddresses returns a new slice, so that the rest does not stay in memory.
func firstAddresses(list []string) []string {
	list = live.SortUnique(list)
	return slices.Clone(list[:min(len(list), maxEndpoints)])
}

// endpoints adds up the slices of each Service of ours. Slices of one address family hold
// different endpoints. If there are two families, both hold the same endpoints, and only
// the larger one counts.
func endpoints(kept map[types.NamespacedName]slice, ours func(label string) bool) []federation.Endpoints {
	type key struct{ namespace, service, family string }
	sums := map[key]federation.Endpoints{}
	for name, s := range kept {
		if s.service == "" || !ours(s.label) {
			continue
		}
		k := key{name.Namespace, s.service, s.family}
		sum := sums[k]
		sum.Namespace, sum.Service = k.namespace, k.service
		sum.Ready += s.ready
		sum.NotReady += s.waiting
		sum.Addresses = firstAddresses(append(sum.Addresses, s.addresses...))
		sums[k] = sum
	}
	keys := make([]key, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(
			strings.Compare(a.namespace, b.namespace),
			strings.Compare(a.service, b.service),
			cmp.Compare(sums[b].Ready, sums[a].Ready),
			cmp.Compare(sums[b].NotReady, sums[a].NotReady),
			strings.Compare(a.family, b.family),
		)
	})
	list := make([]federation.Endpoints, 0, len(keys))
	for i, k := range keys {
		if i > 0 && keys[i-1].namespace == k.namespace && keys[i-1].service == k.service {
			continue
		}
		list = append(list, sums[k])
	}
	return list
}
