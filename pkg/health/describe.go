package health

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Annotations of an Ingress that are read here.
const (
	annotationClass     = "kubernetes.io/ingress.class"
	annotationAllowHTTP = "kubernetes.io/ingress.allow-http"
	// annotationCertificate names certificates of Google Cloud's, which stand in
	// for spec.tls.
	annotationCertificate = "ingress.gcp.kubernetes.io/pre-shared-cert"
	// prefixController is that of the annotations by which an ingress controller
	// tells what it built.
	prefixController = "ingress.kubernetes.io/"
)

func describeIngress(o *federation.Observation, u *unstructured.Unstructured) {
	o.Addresses = addresses(u)
	for _, rule := range objects(u, "spec", "rules") {
		if host, ok := rule["host"].(string); ok && host != "" && !slices.Contains(o.Hosts, host) {
			o.Hosts = append(o.Hosts, host)
		}
	}
	annotations := u.GetAnnotations()
	o.ClassName = cmp.Or(text(u, "spec", "ingressClassName"), annotations[annotationClass])
	if annotations[annotationAllowHTTP] != "false" {
		o.Ports = append(o.Ports, federation.Port{Name: "http", Protocol: "TCP", Port: 80})
	}
	if len(objects(u, "spec", "tls")) > 0 || annotations[annotationCertificate] != "" {
		o.Ports = append(o.Ports, federation.Port{Name: "https", Protocol: "TCP", Port: 443})
	}
	for key, value := range annotations {
		if strings.HasPrefix(key, prefixController) {
			if o.Annotations == nil {
				o.Annotations = map[string]string{}
			}
			o.Annotations[key] = value
		}
	}
}

func describeService(o *federation.Observation, u *unstructured.Unstructured) {
	o.Addresses = addresses(u)
	for _, p := range objects(u, "spec", "ports") {
		port := federation.Port{Protocol: "TCP"} // the API's default
		if name, ok := p["name"].(string); ok {
			port.Name = name
		}
		if protocol, ok := p["protocol"].(string); ok {
			port.Protocol = protocol
		}
		port.Port, port.NodePort = portNumber(p["port"]), portNumber(p["nodePort"])
		o.Ports = append(o.Ports, port)
	}
}

func portNumber(value any) int32 {
	n, ok := value.(int64)
	if !ok || n < 0 || n > 65535 {
		return 0
	}
	return int32(n)
}
