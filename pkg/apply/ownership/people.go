package ownership

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A field manager is known only by its name, and a name does not show what its owner
// does: the program of an operator may be called manager, controller or anything. So
// there are two lists of names, and a manager in neither list keeps its fields.
//
// docs/adoption.md repeats the lists; a test compares them.

// peoplesTools are the field managers of users, and of tools that carry out what users
// wrote. A name that ends in * is a prefix.
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

// controllers are the field managers of cluster components whose job is to write into
// objects.
var controllers = []string{
	"kube-controller-manager", "cloud-controller-manager", "gcp-controller-manager", "kube-scheduler", "kubelet", "kube-apiserver",
	"kube-proxy", "coredns", "glbc", "endpointslice-controller",
	"cluster-autoscaler", "cluster-proportional-autoscaler", "vpa-recommender", "vpa-updater", "keda", "keda-operator",
	"ingress-nginx-controller", "nginx-ingress-controller", "traefik", "external-dns",
	"istiod", "pilot-discovery", "cilium-agent", "cilium-operator", "cilium-operator-generic", "calico-kube-controllers",
	"cert-manager-*", "cainjector", "gatekeeper", "kyverno", "prometheus-operator", "PrometheusOperator",
}

// People distinguishes the field managers of users' tools from others. The zero People
// knows the usual ones.
type People struct {
	more []string
}

// NewPeople returns a People that also knows these names. A name that ends in * is a
// prefix.
func NewPeople(more []string) People { return People{more: slices.Clone(more)} }

// IsTool reports whether a field manager is that of a user or of a user's tool.
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

// isAdoptable reports whether adoption takes over what the entry owns: a user's tool
// wrote it, and not through a subresource.
func (p People) isAdoptable(e metav1.ManagedFieldsEntry) bool {
	return e.Subresource == "" && e.Manager != FieldManager && p.IsTool(e.Manager)
}

// isForeign reports whether a user should know about fields that the entry owns and we
// do not: they were not written through a subresource or by a known controller.
func (p People) isForeign(e metav1.ManagedFieldsEntry) bool {
	return e.Subresource == "" && e.Manager != FieldManager && (p.IsTool(e.Manager) || !isListed(controllers, e.Manager))
}
