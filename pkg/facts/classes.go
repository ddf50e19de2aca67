package facts

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/live"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// scaler is what is remembered of a HorizontalPodAutoscaler, no matter who created it.
type scaler struct {
	fact  federation.Autoscaler // Ours is set later
	label string                // the value of our label; empty if it has none
}

// readScaler reads the target of an autoscaler; false if it has none.
func readScaler(u *unstructured.Unstructured, label string) (scaler, bool) {
	target := federation.ObjectRef{
		Kind: live.Text(u, "spec", "scaleTargetRef", "kind"), Name: live.Text(u, "spec", "scaleTargetRef", "name"),
		Namespace: u.GetNamespace(),
	}
	if group, _, grouped := strings.Cut(live.Text(u, "spec", "scaleTargetRef", "apiVersion"), "/"); grouped {
		target.Group = group
	}
	s := scaler{label: label, fact: federation.Autoscaler{Namespace: u.GetNamespace(), Name: u.GetName(), Target: target}}
	if owner := metav1.GetControllerOf(u); owner != nil {
		s.fact.Owner = untrusted.Line(owner.Kind + "/" + owner.Name)
	}
	return s, target.Kind != "" && target.Name != ""
}

// scalerFacts returns the facts of all autoscalers, sorted by namespace and name.
func scalerFacts(kept map[types.NamespacedName]scaler, ours func(label string) bool) []federation.Autoscaler {
	list := make([]federation.Autoscaler, 0, len(kept))
	for _, key := range slices.SortedFunc(maps.Keys(kept), compareNames) {
		fact := kept[key].fact
		fact.Ours = ours(kept[key].label)
		list = append(list, fact)
	}
	return list
}

// readStorageClass reads when a class creates volumes.
func readStorageClass(u *unstructured.Unstructured) (federation.StorageClass, bool) {
	return federation.StorageClass{
		Name: u.GetName(), WaitsForConsumer: live.Text(u, "volumeBindingMode") == "WaitForFirstConsumer",
	}, true
}

// readIngressClass reads which controller serves a class.
func readIngressClass(u *unstructured.Unstructured) (federation.IngressController, bool) {
	return federation.IngressController{Class: u.GetName(), Controller: untrusted.Line(live.Text(u, "spec", "controller"))}, true
}

// inOrder returns the values of a shelf of cluster-scoped objects, sorted by name.
func inOrder[T any](kept map[types.NamespacedName]T) []T {
	list := make([]T, 0, len(kept))
	for _, key := range slices.SortedFunc(maps.Keys(kept), compareNames) {
		list = append(list, kept[key])
	}
	return list
}
