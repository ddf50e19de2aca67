package live

import (
	"cmp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// Annotations of a claim.
const (
	annotationStorageClass = "volume.beta.kubernetes.io/storage-class"
	annotationSelectedNode = "volume.kubernetes.io/selected-node"
	annotationProvisioner  = "volume.kubernetes.io/storage-provisioner"
	// annotationProvisionerBeta is its earlier name, which is still in use.
	annotationProvisionerBeta = "volume.beta.kubernetes.io/storage-provisioner"
)

// IsClaim reports whether an object is a PersistentVolumeClaim.
func IsClaim(u *unstructured.Unstructured) bool {
	return u.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "PersistentVolumeClaim"}
}

// Claim is the state of a PersistentVolumeClaim's volume.
type Claim struct {
	StorageClass, Provisioner string
	// AwaitsConsumer reports whether the claim may be waiting for the first pod that
	// mounts it: no node was selected for its volume. A claim without a class never
	// waits.
	AwaitsConsumer bool
}

// ClaimOf reads a PersistentVolumeClaim.
func ClaimOf(u *unstructured.Unstructured) Claim {
	annotations := u.GetAnnotations()
	class := untrusted.Line(cmp.Or(annotations[annotationStorageClass], Text(u, "spec", "storageClassName")))
	return Claim{
		StorageClass: class,
		Provisioner:  untrusted.Line(cmp.Or(annotations[annotationProvisioner], annotations[annotationProvisionerBeta])),
		AwaitsConsumer: class != "" && Text(u, "status", "phase") == "Pending" && u.GetDeletionTimestamp() == nil &&
			Text(u, "spec", "volumeName") == "" && annotations[annotationSelectedNode] == "",
	}
}
