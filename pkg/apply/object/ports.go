package object

import (
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Port is one node port of a Service.
type Port struct {
	Protocol string
	Number   int32
}

// Ports returns the node ports that a Service has or asks for.
func Ports(u *unstructured.Unstructured) []Port {
	ports, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "ports")
	var out []Port
	items, _ := ports.([]any)
	for _, item := range items {
		if port, ok := PortOf(item); ok {
			out = append(out, port)
		}
	}
	return out
}

// PortOf reads an item of spec.ports. It returns false if the item has no node port.
func PortOf(item any) (Port, bool) {
	m, _ := item.(map[string]any)
	var port int64
	switch n := m["nodePort"].(type) {
	case int64:
		port = n
	case float64: // such as 3e4
		if n != math.Trunc(n) || math.Abs(n) > 65535 {
			return Port{}, false
		}
		port = int64(n)
	}
	if port <= 0 || port > 65535 {
		return Port{}, false
	}
	protocol, _ := m["protocol"].(string)
	if protocol == "" {
		protocol = "TCP"
	}
	return Port{Protocol: protocol, Number: int32(port)}, true
}
