package health

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// scaler is what is kept of a HorizontalPodAutoscaler, whoever made it.
type scaler struct {
	fact  federation.Autoscaler // Ours is filled in later
	label string                // the value of our label; empty where it has none
}

// readScaler reads what an autoscaler scales; false where it names nothing.
func readScaler(u *unstructured.Unstructured, label string) (scaler, bool) {
	target := federation.ObjectRef{
		Kind: text(u, "spec", "scaleTargetRef", "kind"), Name: text(u, "spec", "scaleTargetRef", "name"),
		Namespace: u.GetNamespace(),
	}
	if group, _, grouped := strings.Cut(text(u, "spec", "scaleTargetRef", "apiVersion"), "/"); grouped {
		target.Group = group
	}
	s := scaler{label: label, fact: federation.Autoscaler{Namespace: u.GetNamespace(), Name: u.GetName(), Target: target}}
	if owner := metav1.GetControllerOf(u); owner != nil {
		s.fact.Owner = untrusted.Line(owner.Kind + "/" + owner.Name)
	}
	return s, target.Kind != "" && target.Name != ""
}

// scalerFacts are those of all autoscalers, sorted by namespace and name.
func scalerFacts(kept map[types.NamespacedName]scaler, ours func(label string) bool) []federation.Autoscaler {
	list := make([]federation.Autoscaler, 0, len(kept))
	for _, key := range slices.SortedFunc(maps.Keys(kept), compareNames) {
		fact := kept[key].fact
		fact.Ours = ours(kept[key].label)
		list = append(list, fact)
	}
	return list
}

// readStorageClass reads when a class makes volumes.
func readStorageClass(u *unstructured.Unstructured) (federation.StorageClass, bool) {
	return federation.StorageClass{
		Name: u.GetName(), WaitsForConsumer: text(u, "volumeBindingMode") == "WaitForFirstConsumer",
	}, true
}

// readIngressClass reads who serves a class.
func readIngressClass(u *unstructured.Unstructured) (federation.IngressController, bool) {
	return federation.IngressController{Class: u.GetName(), Controller: untrusted.Line(text(u, "spec", "controller"))}, true
}

// inOrder are the values of a shelf of objects without a namespace, sorted by name.
func inOrder[T any](kept map[types.NamespacedName]T) []T {
	list := make([]T, 0, len(kept))
	for _, key := range slices.SortedFunc(maps.Keys(kept), compareNames) {
		list = append(list, kept[key])
	}
	return list
}

// Annotations of a claim that are read here.
const (
	annotationStorageClass = "volume.beta.kubernetes.io/storage-class"
	annotationSelectedNode = "volume.kubernetes.io/selected-node"
	annotationProvisioner  = "volume.kubernetes.io/storage-provisioner"
	// annotationProvisionerBeta is its earlier name, which is still written.
	annotationProvisionerBeta = "volume.beta.kubernetes.io/storage-provisioner"
)

// isClaim reports whether it is a PersistentVolumeClaim.
func isClaim(u *unstructured.Unstructured) bool {
	return u.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "PersistentVolumeClaim"}
}

// describeClaim reads whether a claim may wait for the first pod that mounts it: no
// node was chosen for its volume. A claim without a class never does.
func describeClaim(o *federation.Observation, u *unstructured.Unstructured) {
	annotations := u.GetAnnotations()
	o.StorageClass = untrusted.Line(cmp.Or(annotations[annotationStorageClass], text(u, "spec", "storageClassName")))
	o.Provisioner = untrusted.Line(cmp.Or(annotations[annotationProvisioner], annotations[annotationProvisionerBeta]))
	o.AwaitsConsumer = o.StorageClass != "" && text(u, "status", "phase") == "Pending" && u.GetDeletionTimestamp() == nil &&
		text(u, "spec", "volumeName") == "" && annotations[annotationSelectedNode] == ""
}
