package health

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/pkg/federation"
)

// Annotations of an Ingress that are read here.
const (
	annotationAllowHTTP = "kubernetes.io/ingress.allow-http"
	// annotationCertificate names Google Cloud certificates, which replace spec.tls.
	annotationCertificate = "ingress.gcp.kubernetes.io/pre-shared-cert"
	// prefixController is the prefix of the annotations in which an ingress controller
	// reports what it built.
	prefixController = "ingress.kubernetes.io/"
)

// maxRules is how many rules of an Ingress are retained for display.
const maxRules = 50

func describeIngress(o *federation.Observation, u *unstructured.Unstructured) {
	o.Addresses = live.Addresses(u)
	for _, rule := range live.Objects(u, "spec", "rules") {
		if host, ok := rule["host"].(string); ok && host != "" && !slices.Contains(o.Hosts, host) {
			o.Hosts = append(o.Hosts, host)
		}
	}
	annotations := u.GetAnnotations()
	o.ClassName = live.ClassName(u)
	o.TLS, o.Rules = live.SecretNames(u), rules(u)
	if annotations[annotationAllowHTTP] != "false" {
		o.Ports = append(o.Ports, federation.Port{Name: "http", Protocol: "TCP", Port: 80})
	}
	if len(live.Objects(u, "spec", "tls")) > 0 || annotations[annotationCertificate] != "" {
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

// rules returns the rules of an Ingress whose backend is a Service.
func rules(u *unstructured.Unstructured) []federation.Rule {
	var found []federation.Rule
	add := func(host, path string, backend any) {
		service, port := backendOf(backend)
		if service != "" && len(found) < maxRules {
			found = append(found, federation.Rule{Host: host, Path: path, Service: service, Port: port})
		}
	}
	backend, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "defaultBackend")
	add("", "", backend)
	for _, rule := range live.Objects(u, "spec", "rules") {
		host, _ := rule["host"].(string)
		for _, entry := range live.Objects(&unstructured.Unstructured{Object: rule}, "http", "paths") {
			path, _ := entry["path"].(string)
			add(host, path, entry["backend"])
		}
	}
	return found
}

// backendOf returns the Service and port of a backend; empty for a backend that is not a
// Service.
func backendOf(backend any) (service, port string) {
	object, ok := backend.(map[string]any)
	if !ok {
		return "", ""
	}
	u := &unstructured.Unstructured{Object: object}
	port = live.Text(u, "service", "port", "name")
	if port == "" {
		port = strconv.FormatInt(live.Number(u, 0, "service", "port", "number"), 10)
	}
	return live.Text(u, "service", "name"), port
}

func describeService(o *federation.Observation, u *unstructured.Unstructured) {
	o.Addresses, o.Ports = live.Addresses(u), live.ServicePorts(u)
}
