package object

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fedsync/fedsync/pkg/federation"
)

// IsOurs reports whether an object is fedsync's own: our namespace, and whatever is
// in it. No plan has such an object; this holds whatever the plan says.
func IsOurs(ref federation.ObjectRef) bool {
	return ref.Namespace == federation.SystemNamespace || ref.GroupKind() == NamespaceKind && ref.Name == federation.SystemNamespace
}

// Scoped is the reference with a namespace if, and only if, its kind has one.
// Without a mapping it stays as Git has it.
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
