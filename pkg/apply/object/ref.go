package object

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/pkg/federation"
)

// IsOurs reports whether an object is fedsync's own: our namespace and everything in
// it. No plan should have such an object; this check does not rely on it.
func IsOurs(ref federation.ObjectRef) bool {
	return ref.Namespace == federation.SystemNamespace || ref.GroupKind() == NamespaceKind && ref.Name == federation.SystemNamespace
}

// Scoped returns the reference with a namespace if, and only if, its kind is
// namespaced. Without a mapping it is unchanged.
func Scoped(ref federation.ObjectRef, mapping *meta.RESTMapping) federation.ObjectRef {
	switch {
	case mapping == nil:
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		ref.Namespace = ""
	case ref.Namespace == "":
		ref.Namespace = metav1.NamespaceDefault
	}
	return ref
}
