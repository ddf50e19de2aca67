package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// controllerNginx is the spec.controller of the IngressClasses of Ingress NGINX, which
// the Kubernetes project retired in March 2026.
const controllerNginx = "k8s.io/ingress-nginx"

// retired reports, in one finding, where a retired controller serves managed Ingresses.
func (x *diagnosis) retired() {
	var rows []string
	for _, m := range x.seen() {
		if !m.facts.IngressClassesKnown || !m.facts.IngressesKnown {
			continue
		}
		var served []string
		for _, i := range m.facts.Ingresses {
			if i.Ours && m.servedBy(i.ClassName) == controllerNginx {
				served = append(served, i.Namespace+"/"+i.Name)
			}
		}
		if len(served) > 0 {
			rows = append(rows, fmt.Sprintf("%s (%s)", m.name, untrusted.Some(served, 3)))
		}
	}
	if len(rows) == 0 {
		return
	}
	x.add(federation.Finding{
		ID: federation.FindingRetired, Severity: federation.SeverityNote,
		Message: untrusted.List("Ingresses are served by "+controllerNginx+", which is retired and gets no security fixes: in ", rows, ", "),
		Remedy: untrusted.Const("give them the class of another controller, or move to the Gateway API: " +
			"https://kubernetes.io/blog/2025/11/11/ingress-nginx-retirement/"),
	})
}

// servedBy returns the controller that serves a class in the cluster; empty if none is
// known.
func (m *member) servedBy(class string) string {
	i, found := slices.BinarySearchFunc(m.facts.IngressClasses, class, func(c federation.IngressController, class string) int {
		return strings.Compare(c.Class, class)
	})
	if !found {
		return ""
	}
	return m.facts.IngressClasses[i].Controller
}
