package live

import (
	"cmp"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Addresses returns the IPs and hostnames of a load balancer in the object's
// status, sorted and without duplicates. IPs are in canonical form, so that equal
// ones compare equal.
func Addresses(u *unstructured.Unstructured) []string {
	var found []string
	for _, entry := range Objects(u, "status", "loadBalancer", "ingress") {
		if ip, ok := entry["ip"].(string); ok && ip != "" {
			if parsed, err := netip.ParseAddr(ip); err == nil {
				ip = parsed.String()
			}
			found = append(found, untrusted.Line(ip))
		}
		if host, ok := entry["hostname"].(string); ok && host != "" {
			found = append(found, untrusted.Line(host))
		}
	}
	return SortUnique(found)
}

// SortUnique sorts a list in place and removes duplicates; nil stays nil.
func SortUnique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// annotationClass names an Ingress's class. It was used before there was a
// field.
const annotationClass = "kubernetes.io/ingress.class"

// ClassName returns an Ingress's class, from the field or the annotation.
func ClassName(u *unstructured.Unstructured) string {
	return cmp.Or(Text(u, "spec", "ingressClassName"), u.GetAnnotations()[annotationClass])
}

// SecretNames returns the Secrets that an Ingress names, sorted and without
// duplicates.
func SecretNames(u *unstructured.Unstructured) []string {
	var found []string
	for _, entry := range Objects(u, "spec", "tls") {
		if name, ok := entry["secretName"].(string); ok && name != "" {
			found = append(found, name)
		}
	}
	return SortUnique(found)
}

// ServicePorts returns a Service's ports.
func ServicePorts(u *unstructured.Unstructured) []federation.Port {
	var found []federation.Port
	for _, p := range Objects(u, "spec", "ports") {
		port := federation.Port{Protocol: "TCP"} // the API's default
		if name, ok := p["name"].(string); ok {
			port.Name = name
		}
		if protocol, ok := p["protocol"].(string); ok {
			port.Protocol = protocol
		}
		port.Port, port.NodePort = PortNumber(p["port"]), PortNumber(p["nodePort"])
		found = append(found, port)
	}
	return found
}

// PortNumber returns a value as a port; 0 if it is not one.
func PortNumber(value any) int32 {
	n, ok := value.(int64)
	if !ok || n < 0 || n > 65535 {
		return 0
	}
	return int32(n)
}
