package object

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Event is a watch event of one object. The watches are of objects with the label
// applyset.kubernetes.io/part-of and of the federation's parents (ParentSelector). The
// object is complete, with its managed fields.
type Event struct {
	Resource schema.GroupVersionResource
	Object   *unstructured.Unstructured // neither changed nor retained
	// Deleted means that the object is gone, or is no longer selected.
	Deleted bool
	// ResourceVersion is that of the list without the object, for a deletion found by
	// another list. Empty stands for the object's own.
	ResourceVersion string
}
