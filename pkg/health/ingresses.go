package health

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/fedsync/fedsync/pkg/federation"
)

// annotationURLMap names the load balancer that Google's controller built.
const annotationURLMap = "ingress.kubernetes.io/url-map"

// maxSecrets is how many Secrets of one cluster are watched, each for itself. What
// Ingresses name beyond that goes unseen.
const maxSecrets = 100

// ingress is what is kept of an Ingress, whoever made it.
type ingress struct {
	fact    federation.Ingress // Ours is filled in later
	label   string             // the value of our label; empty where it has none
	secrets []string           // named under spec.tls; nil where it has no label
}

func readIngress(u *unstructured.Unstructured, label string) ingress {
	i := ingress{
		label: label,
		fact: federation.Ingress{
			Namespace: u.GetNamespace(), Name: u.GetName(),
			ClassName: shorten(className(u)),
			URLMap:    shorten(u.GetAnnotations()[annotationURLMap]),
			Created:   u.GetCreationTimestamp().UTC(),
			Addresses: addresses(u),
		},
	}
	if label != "" {
		i.secrets = secretNames(u)
	}
	return i
}

// ingressFacts are those of all Ingresses, sorted by namespace and name.
func ingressFacts(kept map[types.NamespacedName]ingress, ours func(label string) bool) []federation.Ingress {
	list := make([]federation.Ingress, 0, len(kept))
	for _, key := range slices.SortedFunc(maps.Keys(kept), compareNames) {
		fact := kept[key].fact
		fact.Ours = ours(kept[key].label)
		list = append(list, fact)
	}
	return list
}

// namedSecrets are the first maxSecrets of the Secrets that Ingresses of ours
// name, sorted.
func namedSecrets(kept map[types.NamespacedName]ingress, ours func(label string) bool) []types.NamespacedName {
	var list []types.NamespacedName
	for key, i := range kept {
		if !ours(i.label) {
			continue
		}
		for _, name := range i.secrets {
			if len(validation.IsDNS1123Subdomain(name)) == 0 { // none has another name
				list = append(list, types.NamespacedName{Namespace: key.Namespace, Name: name})
			}
		}
	}
	slices.SortFunc(list, compareNames)
	list = slices.Compact(list)
	return list[:min(len(list), maxSecrets)]
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// readIngressUID reads the ConfigMap by which Google's controller names what it
// makes.
func readIngressUID(u *unstructured.Unstructured) federation.IngressUID {
	return federation.IngressUID{
		Known: true, Exists: true,
		UID:      shorten(text(u, "data", "uid")),
		Provider: shorten(text(u, "data", "provider-uid")),
	}
}
