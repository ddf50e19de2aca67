package live

import (
	"cmp"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Addresses gives what a load balancer has put into the object's status: IPs and
// hostnames, each once, sorted. IPs are in the one form in which equal ones are
// equal.
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

// SortUnique sorts in place and drops what is there twice; nil stays nil.
func SortUnique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// annotationClass is how an Ingress's class was named before it had a field.
const annotationClass = "kubernetes.io/ingress.class"

// ClassName is an Ingress's class, by field or annotation.
func ClassName(u *unstructured.Unstructured) string {
	return cmp.Or(Text(u, "spec", "ingressClassName"), u.GetAnnotations()[annotationClass])
}

// SecretNames are the Secrets that an Ingress names, each once, sorted.
func SecretNames(u *unstructured.Unstructured) []string {
	var found []string
	for _, entry := range Objects(u, "spec", "tls") {
		if name, ok := entry["secretName"].(string); ok && name != "" {
			found = append(found, name)
		}
	}
	return SortUnique(found)
}

// ServicePorts gives a Service's ports.
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

// PortNumber gives a port; 0 for what is none.
func PortNumber(value any) int32 {
	n, ok := value.(int64)
	if !ok || n < 0 || n > 65535 {
		return 0
	}
	return int32(n)
}
