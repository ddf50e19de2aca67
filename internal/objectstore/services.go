package objectstore

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func needsClusterIP(s *corev1.Service) bool { return s.Spec.Type != corev1.ServiceTypeExternalName }

func needsNodePort(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeNodePort ||
		s.Spec.Type == corev1.ServiceTypeLoadBalancer && (s.Spec.AllocateLoadBalancerNodePorts == nil || *s.Spec.AllocateLoadBalancerNodePorts)
}

// allocate assigns a Service its cluster IP and node ports, retains those that it had,
// and refuses unavailable ones.
func (s *Store) allocate(o, old *corev1.Service) error {
	if old != nil {
		keepAllocated(o, old)
		dropAllocated(o, old)
	}
	s.allocateIP(o)
	taken := s.nodePorts(o)
	had := map[int32]bool{}
	if old != nil {
		for _, p := range old.Spec.Ports {
			had[p.NodePort] = true
		}
	}
	if o.Spec.Type != corev1.ServiceTypeNodePort && o.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return nil
	}
	type key struct {
		protocol corev1.Protocol
		port     int32
	}
	own := map[int32]bool{}
	by := map[int32]int32{} // the port that a node port of this Service belongs to
	seen := map[key]bool{}
	for i := range o.Spec.Ports {
		p := &o.Spec.Ports[i]
		if p.NodePort == 0 && !needsNodePort(o) {
			continue
		}
		if p.NodePort != 0 {
			if err := s.checkNodePort(o.Name, i, p.NodePort, taken[p.NodePort] || old == nil && own[p.NodePort] && by[p.NodePort] != p.Port); err != nil && !had[p.NodePort] {
				return err
			}
		} else {
			port, err := s.freePort(taken, own)
			if err != nil {
				return err
			}
			p.NodePort = port
		}
		own[p.NodePort], by[p.NodePort] = true, p.Port
		if k := (key{p.Protocol, p.NodePort}); seen[k] && old != nil {
			return fmt.Errorf("duplicate nodePort: {%s %d}", p.Protocol, p.NodePort)
		} else if !seen[k] {
			seen[k] = true
		}
	}
	return nil
}

func (s *Store) checkNodePort(name string, i int, port int32, taken bool) error {
	at := field.NewPath("spec", "ports").Index(i).Child("nodePort")
	if port < s.NodePorts[0] || port > s.NodePorts[1] {
		return invalid("Service", name, field.Invalid(at, port, fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %d-%d", s.NodePorts[0], s.NodePorts[1])))
	}
	if taken {
		return invalid("Service", name, field.Invalid(at, port, errPortTaken.Error()))
	}
	return nil
}

// nodePorts returns the node ports of other Services.
func (s *Store) nodePorts(but *corev1.Service) map[int32]bool {
	out := map[int32]bool{}
	for name, e := range s.objects[schema.GroupResource{Resource: "services"}] {
		o, ok := e.object.(*corev1.Service)
		if !ok || name.Namespace == but.Namespace && name.Name == but.Name {
			continue
		}
		for _, p := range o.Spec.Ports {
			if p.NodePort != 0 {
				out[p.NodePort] = true
			}
		}
	}
	return out
}

func (s *Store) freePort(taken, own map[int32]bool) (int32, error) {
	size := s.NodePorts[1] - s.NodePorts[0] + 1
	start := s.random.Int32N(size)
	for i := range size {
		port := s.NodePorts[0] + (start+i)%size
		if !taken[port] && !own[port] {
			return port, nil
		}
	}
	return 0, fmt.Errorf("failed to allocate a nodePort: range is full")
}

func (s *Store) allocateIP(o *corev1.Service) {
	if !needsClusterIP(o) {
		return
	}
	if o.Spec.ClusterIP == "" {
		o.Spec.ClusterIP = fmt.Sprintf("10.96.%d.%d", s.random.IntN(256), 1+s.random.IntN(254))
	}
	if len(o.Spec.ClusterIPs) == 0 {
		o.Spec.ClusterIPs = []string{o.Spec.ClusterIP}
	}
	if len(o.Spec.IPFamilies) == 0 {
		o.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	point(&o.Spec.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack)
}

// keepAllocated copies the old Service's allocations that the new one does not name.
func keepAllocated(o, old *corev1.Service) {
	if needsClusterIP(old) && needsClusterIP(o) {
		setDefault(&o.Spec.ClusterIP, old.Spec.ClusterIP)
		if len(o.Spec.ClusterIPs) == 0 {
			o.Spec.ClusterIPs = slices.Clone(old.Spec.ClusterIPs)
		}
	}
	if !needsNodePort(old) || !needsNodePort(o) {
		return
	}
	used := map[int32]bool{}
	for _, p := range o.Spec.Ports {
		used[p.NodePort] = p.NodePort != 0
	}
	byName := map[string]int32{}
	for _, p := range old.Spec.Ports {
		byName[p.Name] = p.NodePort
	}
	for i := range o.Spec.Ports {
		p := &o.Spec.Ports[i]
		if had := byName[p.Name]; p.NodePort == 0 && !used[had] {
			p.NodePort = had
		}
	}
}

// dropAllocated removes allocations that the Service's new type does not need.
func dropAllocated(o, old *corev1.Service) {
	if needsNodePort(old) && !needsNodePort(o) && samePorts(o, old) {
		for i := range o.Spec.Ports {
			o.Spec.Ports[i].NodePort = 0
		}
	}
	external := func(s *corev1.Service) bool {
		return s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer
	}
	if external(old) && !external(o) && o.Spec.ExternalTrafficPolicy == old.Spec.ExternalTrafficPolicy {
		o.Spec.ExternalTrafficPolicy = ""
	}
	if old.Spec.Type == corev1.ServiceTypeLoadBalancer && o.Spec.Type != corev1.ServiceTypeLoadBalancer {
		o.Spec.AllocateLoadBalancerNodePorts = nil
		o.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}

func samePorts(o, old *corev1.Service) bool {
	had := map[int32]bool{0: true}
	for _, p := range old.Spec.Ports {
		had[p.NodePort] = true
	}
	return !slices.ContainsFunc(o.Spec.Ports, func(p corev1.ServicePort) bool { return !had[p.NodePort] })
}
