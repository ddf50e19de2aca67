package health

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/federation"
)

// readPorts gives the node ports that a Service holds; false for none.
func readPorts(u *unstructured.Unstructured) ([]federation.NodePort, bool) {
	var found []federation.NodePort
	for _, p := range objects(u, "spec", "ports") {
		port := portNumber(p["nodePort"])
		if port == 0 {
			continue
		}
		protocol, ok := p["protocol"].(string)
		if !ok {
			protocol = "TCP" // the API's default
		}
		found = append(found, federation.NodePort{
			Protocol: protocol, Port: port,
			Namespace: u.GetNamespace(), Service: u.GetName(), ServicePort: portNumber(p["port"]),
		})
	}
	check, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "healthCheckNodePort")
	if port := portNumber(check); port != 0 {
		found = append(found, federation.NodePort{
			Protocol: "TCP", Port: port, Namespace: u.GetNamespace(), Service: u.GetName(), HealthCheck: true,
		})
	}
	return found, len(found) > 0
}

// portFacts are the node ports of all Services, sorted.
func portFacts(kept map[types.NamespacedName][]federation.NodePort) []federation.NodePort {
	list := make([]federation.NodePort, 0, len(kept))
	for _, ports := range kept {
		list = append(list, ports...)
	}
	slices.SortFunc(list, federation.NodePort.Compare)
	return list
}
