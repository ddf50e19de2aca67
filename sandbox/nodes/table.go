package nodes

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

// known is the last known state of a cluster.
type known struct {
	nodes    []*corev1.Node
	services []*corev1.Service
	slices   []*discoveryv1.EndpointSlice
}

// table holds the routes of a cluster's nodes, as kube-proxy would set them.
type table struct {
	// nodes are the addresses of all nodes, with or without a route.
	nodes map[netip.Addr]bool
	// routes has no entry where no pod would answer: kube-proxy rejects such
	// connections.
	routes map[netip.AddrPort]route
	// pods are all pods of the routes.
	pods map[podID]bool
}

// route is the target of one port of one node.
type route struct {
	node    string
	service types.NamespacedName
	pods    []podID // at least one; sorted
}

// podID identifies a pod. A pod that was recreated with the same name is another pod.
type podID struct {
	namespace, name string
	uid             types.UID
}

func (p podID) compare(o podID) int {
	return cmp.Or(cmp.Compare(p.namespace, o.namespace), cmp.Compare(p.name, o.name), cmp.Compare(p.uid, o.uid))
}

// table computes the routes of the nodes.
func (k known) table() table {
	t := table{nodes: map[netip.Addr]bool{}, routes: map[netip.AddrPort]route{}, pods: map[podID]bool{}}
	addresses := map[string]netip.Addr{} // by node
	for _, n := range k.nodes {
		if address, ok := internalAddress(n); ok {
			addresses[n.Name] = address
			t.nodes[address] = true
		}
	}
	slicesOf := map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	for _, s := range k.slices {
		service := types.NamespacedName{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
		slicesOf[service] = append(slicesOf[service], s)
	}
	for _, s := range k.services {
		service := types.NamespacedName{Namespace: s.Namespace, Name: s.Name}
		for _, port := range s.Spec.Ports {
			if port.NodePort == 0 || port.Protocol != corev1.ProtocolTCP && port.Protocol != "" {
				continue
			}
			ready := readyPods(slicesOf[service], port.Name, addresses)
			for node, address := range addresses {
				pods := ready.all
				if s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
					pods = ready.on[node]
				}
				t.add(netip.AddrPortFrom(address, uint16(port.NodePort)), route{node: node, service: service, pods: pods})
			}
		}
	}
	return t
}

func (t table) add(at netip.AddrPort, r route) {
	if len(r.pods) == 0 {
		return
	}
	t.routes[at] = r
	for _, p := range r.pods {
		t.pods[p] = true
	}
}

// internalAddress returns the IPv4 address of a node, and whether it has one.
func internalAddress(n *corev1.Node) (netip.Addr, bool) {
	for _, a := range n.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		if address, err := netip.ParseAddr(a.Address); err == nil && address.Is4() {
			return address, true
		}
	}
	return netip.Addr{}, false
}

// ready holds the ready pods behind one port of a Service.
type ready struct {
	all []podID
	on  map[string][]podID // by node
}

// readyPods returns the ready pods behind the port of that name. It ignores pods whose
// node is gone, although the API server may still have them.
func readyPods(from []*discoveryv1.EndpointSlice, port string, nodes map[string]netip.Addr) ready {
	r := ready{on: map[string][]podID{}}
	seen := map[podID]bool{} // a pod may be in two slices for a moment
	for _, s := range from {
		if s.AddressType != discoveryv1.AddressTypeIPv4 || !hasPort(s, port) {
			continue
		}
		for _, e := range s.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready || e.TargetRef == nil || e.NodeName == nil {
				continue
			}
			if _, ok := nodes[*e.NodeName]; !ok {
				continue
			}
			id := podID{namespace: e.TargetRef.Namespace, name: e.TargetRef.Name, uid: e.TargetRef.UID}
			if seen[id] {
				continue
			}
			seen[id] = true
			r.all = append(r.all, id)
			r.on[*e.NodeName] = append(r.on[*e.NodeName], id)
		}
	}
	slices.SortFunc(r.all, podID.compare)
	for _, pods := range r.on {
		slices.SortFunc(pods, podID.compare)
	}
	return r
}

func hasPort(s *discoveryv1.EndpointSlice, name string) bool {
	return slices.ContainsFunc(s.Ports, func(p discoveryv1.EndpointPort) bool {
		named := p.Name == nil && name == "" || p.Name != nil && *p.Name == name
		return named && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP)
	})
}
