package write

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
)

// letGo takes the replicas out of our entry before an apply that no longer says
// them: dropped by the apply itself, they would fall back to the API's default of
// one pod before the autoscaler is there to raise them. Of none that is what is
// wanted: at zero an autoscaler does nothing.
func (wr *Writer) letGo(ctx context.Context, k Known, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
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
