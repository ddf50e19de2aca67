package object

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Event is what a watch says of one object: of those that bear the label
// applyset.kubernetes.io/part-of, and of the federation's parents
// (ParentSelector). The object is whole, with its managed fields.
type Event struct {
	Resource schema.GroupVersionResource
	Object   *unstructured.Unstructured // not changed, and not kept
	// Deleted says that the object is gone, or is no longer selected.
	Deleted bool
	// ResourceVersion is that of the list which no longer had the object, for a
	// deletion found by another list. Empty stands for the object's own.
	ResourceVersion string
}
