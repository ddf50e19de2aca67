package object

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

// DefinedKinds returns the definition of each kind that the plan itself defines.
func DefinedKinds(plan federation.ClusterPlan) map[schema.GroupKind]federation.ObjectRef {
	out := map[schema.GroupKind]federation.ObjectRef{}
	for _, app := range plan.Apps {
		for _, o := range app.Objects {
			if o.Ref.GroupKind() != DefinitionKind {
				continue
			}
			out[definedKind(o.Unstructured())] = o.Ref
		}
	}
	return out
}

// definedKind returns the kind that a definition defines.
func definedKind(u *unstructured.Unstructured) schema.GroupKind {
	group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(u.Object, "spec", "names", "kind")
	return schema.GroupKind{Group: group, Kind: kind}
}

// isEstablished reports whether the kind of a definition is served.
func isEstablished(u *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
			return true
		}
	}
	return false
}
