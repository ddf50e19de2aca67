package facts

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// liveService is what is remembered of a Service, no matter who created it.
type liveService struct {
	fact  federation.Service
	ports []federation.NodePort // the node ports that it holds
}

// annotationNEG makes Google's controller send requests to pods instead of nodes.
const annotationNEG = "cloud.google.com/neg"

func readService(u *unstructured.Unstructured) (liveService, bool) {
	return liveService{
		fact: federation.Service{
			Namespace: u.GetNamespace(), Name: u.GetName(),
			Type: live.Text(u, "spec", "type"), NEG: untrusted.Line(u.GetAnnotations()[annotationNEG]),
			Ports: live.ServicePorts(u),
		},
		ports: readPorts(u),
	}, true
}

// readPorts returns the node ports that a Service holds.
func readPorts(u *unstructured.Unstructured) []federation.NodePort {
	var found []federation.NodePort
	for _, p := range live.Objects(u, "spec", "ports") {
		port := live.PortNumber(p["nodePort"])
		if port == 0 {
			continue
		}
		protocol, ok := p["protocol"].(string)
		if !ok {
			protocol = "TCP" // the API's default
		}
		found = append(found, federation.NodePort{
			Protocol: protocol, Port: port,
			Namespace: u.GetNamespace(), Service: u.GetName(), ServicePort: live.PortNumber(p["port"]),
		})
	}
	check, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "healthCheckNodePort")
	if port := live.PortNumber(check); port != 0 {
		found = append(found, federation.NodePort{
			Protocol: "TCP", Port: port, Namespace: u.GetNamespace(), Service: u.GetName(), HealthCheck: true,
		})
	}
	return found
}

// portFacts returns the node ports of all Services, sorted.
func portFacts(kept map[types.NamespacedName]liveService) []federation.NodePort {
	list := []federation.NodePort{}
	for _, s := range kept {
		list = append(list, s.ports...)
	}
	slices.SortFunc(list, federation.NodePort.Compare)
	return list
}

// serviceFacts returns the Services in the namespaces of our Ingresses, sorted by
// namespace and name.
func serviceFacts(kept map[types.NamespacedName]liveService, ingresses []federation.Ingress) []federation.Service {
	namespaces := map[string]bool{}
	for _, i := range ingresses {
		if i.Ours {
			namespaces[i.Namespace] = true
		}
	}
	var list []federation.Service
	for key, s := range kept {
		if namespaces[key.Namespace] {
			list = append(list, s.fact)
		}
	}
	slices.SortFunc(list, func(a, b federation.Service) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return list
}
