package nodes

import (
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestTable(t *testing.T) {
	one, two := netip.MustParseAddrPort("10.128.0.10:30301"), netip.MustParseAddrPort("10.128.0.11:30301")
	for _, c := range []struct {
		name   string
		change func(*known)
		want   map[netip.AddrPort][]string // the pods behind each port
	}{
		{
			name:   "every node forwards to every ready pod",
			change: func(*known) {},
			want:   map[netip.AddrPort][]string{one: {"a", "b"}, two: {"a", "b"}},
		},
		{
			name:   "a pod that is not ready gets no connections",
			change: func(k *known) { k.slices[0].Endpoints[0].Conditions.Ready = new(false) },
			want:   map[netip.AddrPort][]string{one: {"b"}, two: {"b"}},
		},
		{
			name: "no node answers if no pod is ready",
			change: func(k *known) {
				for i := range k.slices[0].Endpoints {
					k.slices[0].Endpoints[i].Conditions.Ready = new(false)
				}
			},
		},
		{
			name:   "an endpoint without a ready condition is ready",
			change: func(k *known) { k.slices[0].Endpoints[0].Conditions.Ready = nil },
			want:   map[netip.AddrPort][]string{one: {"a", "b"}, two: {"a", "b"}},
		},
		{
			name: "Local forwards to the node's own pods",
			change: func(k *known) {
				k.services[0].Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
			},
			want: map[netip.AddrPort][]string{one: {"a"}, two: {"b"}},
		},
		{
			name: "Local refuses on a node without pods",
			change: func(k *known) {
				k.services[0].Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
				k.slices[0].Endpoints = k.slices[0].Endpoints[:1]
			},
			want: map[netip.AddrPort][]string{one: {"a"}},
		},
		{
			name:   "pods of a deleted node are ignored",
			change: func(k *known) { k.nodes = k.nodes[:1] },
			want:   map[netip.AddrPort][]string{one: {"a"}},
		},
		{
			name:   "a pod in two slices counts once",
			change: func(k *known) { k.slices = append(k.slices, k.slices[0].DeepCopy()) },
			want:   map[netip.AddrPort][]string{one: {"a", "b"}, two: {"a", "b"}},
		},
		{
			name:   "a slice without the port is ignored",
			change: func(k *known) { k.slices[0].Ports[0].Name = new("metrics") },
		},
		{
			name:   "a slice of another Service is ignored",
			change: func(k *known) { k.slices[0].Labels[discoveryv1.LabelServiceName] = "other" },
		},
		{
			name:   "a slice of another namespace is ignored",
			change: func(k *known) { k.slices[0].Namespace = "other" },
		},
		{
			name:   "UDP ports are ignored",
			change: func(k *known) { k.services[0].Spec.Ports[0].Protocol = corev1.ProtocolUDP },
		},
		{
			name:   "a Service without a node port has no routes",
			change: func(k *known) { k.services[0].Spec.Ports[0].NodePort = 0 },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := example()
			c.change(&k)
			got := k.table()
			if len(got.routes) != len(c.want) {
				t.Errorf("%d ports answer, want %d", len(got.routes), len(c.want))
			}
			for at, want := range c.want {
				var pods []string
				for _, p := range got.routes[at].pods {
					pods = append(pods, p.name)
					if !got.pods[p] {
						t.Errorf("the pod %s is not among the pods", p.name)
					}
				}
				if !slices.Equal(pods, want) {
					t.Errorf("%s forwards to %v, want %v", at, pods, want)
				}
			}
		})
	}
}

// example is a cluster of two nodes with a pod each.
func example() known {
	return known{
		nodes: []*corev1.Node{exampleNode("one", "10.128.0.10"), exampleNode("two", "10.128.0.11")},
		services: []*corev1.Service{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
			Spec: corev1.ServiceSpec{
				Type:  corev1.ServiceTypeNodePort,
				Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30301}},
			},
		}},
		slices: []*discoveryv1.EndpointSlice{{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "default", Name: "web-1",
				Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
			},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Protocol: new(corev1.ProtocolTCP), Port: new(int32(80))}},
			Endpoints:   []discoveryv1.Endpoint{exampleEndpoint("a", "one"), exampleEndpoint("b", "two")},
		}},
	}
}

func exampleNode(name, address string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}},
	}
}

func exampleEndpoint(pod, node string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses:  []string{"10.64.0.1"},
		Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
		NodeName:   new(node),
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: pod, UID: types.UID(pod + "-uid")},
	}
}
