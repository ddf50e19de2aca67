package facts

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// readQuota reads the limits on numbers of objects; false for none. Limits on cpu, memory
// and storage depend on a pod's requests, and those of a quota with a scope on the kind
// of pod, so both are left out.
func readQuota(u *unstructured.Unstructured) (federation.Quota, bool) {
	q := federation.Quota{
		Namespace: u.GetNamespace(), Name: u.GetName(),
		Hard: counts(u, "hard"), Used: counts(u, "used"),
	}
	scopes, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "scopes")
	selector, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "scopeSelector")
	return q, len(q.Hard) > 0 && scopes == nil && selector == nil
}

// quotaFacts returns all quotas, sorted by namespace and name.
func quotaFacts(kept map[types.NamespacedName]federation.Quota) []federation.Quota {
	list := make([]federation.Quota, 0, len(kept))
	for _, key := range slices.SortedFunc(maps.Keys(kept), compareNames) {
		list = append(list, kept[key])
	}
	return list
}

func counts(u *unstructured.Unstructured, of string) map[string]int64 {
	value, _, _ := unstructured.NestedFieldNoCopy(u.Object, "status", of)
	quantities, _ := value.(map[string]any)
	found := map[string]int64{}
	for name, value := range quantities {
		written, ok := value.(string)
		if !ok || !isCount(name) || !limit.Quantity(written) {
			continue
		}
		if quantity, err := resource.ParseQuantity(written); err == nil {
			found[name] = quantity.Value()
		}
	}
	return found
}

func isCount(name string) bool {
	switch name {
	case "pods", "services", "services.nodeports", "services.loadbalancers", "configmaps", "secrets",
		"replicationcontrollers", "resourcequotas", "persistentvolumeclaims":
		return true
	}
	return strings.HasPrefix(name, "count/")
}
