package write

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
)

// releaseReplicas removes the replicas from our entry before an apply that no longer
// sets them. If the apply itself dropped them, they would fall back to the API's
// default of one pod before the autoscaler is there to raise them. At zero replicas
// that default is what is wanted, since an autoscaler does nothing at zero.
func (wr *Writer) releaseReplicas(ctx context.Context, k Known, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if !k.LeavesReplicas() {
		return live, nil
	}
	if n, stated, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); stated && n == 0 {
		return live, nil
	}
	entries, changed, err := ownership.Without(live.GetManagedFields(), object.ReplicasPath)
	if err != nil || !changed {
		return live, nil //nolint:nilerr // an entry that cannot be read is left to the API server
	}
	return wr.setManagedFields(ctx, k, live.GetResourceVersion(), entries)
}
