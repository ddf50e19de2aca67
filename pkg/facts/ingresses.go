package facts

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// annotationURLMap names the load balancer that Google's controller built.
const annotationURLMap = "ingress.kubernetes.io/url-map"

// googleAnnotations are the annotations in which Google's controller reports what it
// built.
var googleAnnotations = []string{
	annotationURLMap, "ingress.kubernetes.io/forwarding-rule", "ingress.kubernetes.io/https-forwarding-rule",
	"ingress.kubernetes.io/backends",
}

// googleFinalizer is the prefix of the finalizers with which Google's controller holds an
// Ingress until it has deleted what it built.
const googleFinalizer = "networking.gke.io/ingress-finalizer"

// maxSecrets is how many Secrets of one cluster are watched, each with a watch of its
// own. Further Secrets that Ingresses name are ignored.
const maxSecrets = 100

// ingress is what is remembered of an Ingress, no matter who created it.
type ingress struct {
	fact    federation.Ingress // Ours is set later
	label   string             // the value of our label; empty if it has none
	secrets []string           // named under spec.tls; nil if it has no label
}

func readIngress(u *unstructured.Unstructured, label string) ingress {
	i := ingress{
		label: label,
		fact: federation.Ingress{
			Namespace: u.GetNamespace(), Name: u.GetName(),
			ClassName: untrusted.Line(live.ClassName(u)),
			URLMap:    untrusted.Line(u.GetAnnotations()[annotationURLMap]),
			Created:   u.GetCreationTimestamp().UTC(),
			Addresses: live.Addresses(u),
			StatusBy:  untrusted.Excerpt(statusWriter(u)),
		},
	}
	i.fact.GoogleHeld = slices.ContainsFunc(u.GetFinalizers(), func(name string) bool { return strings.HasPrefix(name, googleFinalizer) })
	i.fact.Google = i.fact.GoogleHeld || slices.ContainsFunc(googleAnnotations, func(name string) bool {
		return u.GetAnnotations()[name] != ""
	})
	if label != "" {
		i.secrets = live.SecretNames(u)
	}
	return i
}

// addressPath is the field with the address of an Ingress: an atomic list, which has one
// owner unless several applied the same value.
var addressPath = fieldpath.MakePathOrDie("status", "loadBalancer", "ingress")

// statusWriter returns the field manager of the address; empty if there is none. It
// prefers a manager other than fedsync.
func statusWriter(u *unstructured.Unstructured) string {
	writer := ""
	for _, entry := range u.GetManagedFields() {
		if entry.Subresource != "status" || entry.FieldsV1 == nil || writer != "" && writer != federation.AddressManager {
			continue
		}
		var set fieldpath.Set
		if err := set.FromJSON(entry.FieldsV1.GetRawReader()); err == nil && set.Has(addressPath) {
			writer = entry.Manager
		}
	}
	return writer
}

// ingressFacts returns the facts of all Ingresses, sorted by namespace and name.
func ingressFacts(kept map[types.NamespacedName]ingress, ours func(label string) bool) []federation.Ingress {
	list := make([]federation.Ingress, 0, len(kept))
	for _, key := range slices.SortedFunc(maps.Keys(kept), compareNames) {
		fact := kept[key].fact
		fact.Ours = ours(kept[key].label)
		list = append(list, fact)
	}
	return list
}

// namedSecrets returns the first maxSecrets Secrets that Ingresses of ours name, sorted.
func namedSecrets(kept map[types.NamespacedName]ingress, ours func(label string) bool) []types.NamespacedName {
	var list []types.NamespacedName
	for key, i := range kept {
		if !ours(i.label) {
			continue
		}
		for _, name := range i.secrets {
			if len(validation.IsDNS1123Subdomain(name)) == 0 { // no Secret can have another name
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

// readIngressUID reads the ConfigMap from which Google's controller derives the names of
// its resources.
func readIngressUID(u *unstructured.Unstructured) federation.IngressUID {
	return federation.IngressUID{
		Known: true, Exists: true,
		UID:      untrusted.Line(live.Text(u, "data", "uid")),
		Provider: untrusted.Line(live.Text(u, "data", "provider-uid")),
	}
}
