package ownership

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A field manager is known by its name alone, and a name says nothing about what its owner
// is for: the program of an operator may be called manager, controller or anything. So
// there are two lists of names, and what is in neither of them keeps its fields.
//
// The lists are in docs/adoption.md, which a test compares.

// peoplesTools are the field managers by which people, and tools that carry out what people
// wrote, make and change objects. One that ends in * is the beginning of names.
var peoplesTools = []string{
	"kubectl*", "oc", "k9s", "Lens", "OpenLens", "Freelens", "node-fetch", "Mozilla", "dashboard", "GoogleCloudConsole", "curl",
	"helm", "Helm", "helm-controller", "helm-operator", "helmfile",
	"kustomize-controller", "flux", "flux-client-side-apply",
	"argocd-controller", "argocd-application-controller", "argocd-server",
	"terraform*", "Terraform*", "HashiCorp*", "pulumi*",
	"configsync", "kapp", "kpt", "kubecfg", "skaffold", "tilt", "werf",
	"kubemci", "kubefed", "kubefedctl",
	"fedsync-restore", beforeFirstApply,
}

// controllers are the field managers of parts of a cluster that write into objects by their
// office.
var controllers = []string{
	"kube-controller-manager", "cloud-controller-manager", "gcp-controller-manager", "kube-scheduler", "kubelet", "kube-apiserver",
	"kube-proxy", "coredns", "glbc", "endpointslice-controller",
	"cluster-autoscaler", "cluster-proportional-autoscaler", "vpa-recommender", "vpa-updater", "keda", "keda-operator",
	"ingress-nginx-controller", "nginx-ingress-controller", "traefik", "external-dns",
	"istiod", "pilot-discovery", "cilium-agent", "cilium-operator", "cilium-operator-generic", "calico-kube-controllers",
	"cert-manager-*", "cainjector", "gatekeeper", "kyverno", "prometheus-operator", "PrometheusOperator",
}

// People tells the field managers of people's tools from others. The zero People knows
// the usual ones.
type People struct {
	more []string
}

// NewPeople returns a People that knows these names as well. One that ends in * is the
// beginning of names.
func NewPeople(more []string) People { return People{more: slices.Clone(more)} }

// IsTool reports whether a field manager is that of people or of their tools.
func (p People) IsTool(manager string) bool {
	return isListed(peoplesTools, manager) || isListed(p.more, manager)
}

func isListed(names []string, manager string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		if start, ok := strings.CutSuffix(name, "*"); ok {
			return strings.HasPrefix(manager, start)
		}
		return name == manager
	})
}

// gives reports whether adoption takes over what the entry owns: it was written by people's
// tools, through the object itself.
func (p People) gives(e metav1.ManagedFieldsEntry) bool {
	return e.Subresource == "" && e.Manager != FieldManager && p.IsTool(e.Manager)
}

// isForeign reports whether what the entry owns and we do not is worth a person's look:
// it was written through the object itself, and not by a known controller.
func (p People) isForeign(e metav1.ManagedFieldsEntry) bool {
	return e.Subresource == "" && e.Manager != FieldManager && (p.IsTool(e.Manager) || !isListed(controllers, e.Manager))
}
