package apply

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/fedsync/fedsync/pkg/apply/ownership"
)

// replicasPath is the field that autoscalers write.
var replicasPath = fieldpath.MakePathOrDie("spec", "replicas")

// leavesReplicas says whether the object has replicas and leaves them to others.
func (d *desired) leavesReplicas() bool {
	if d.ref.Group != "apps" {
		return false
	}
	switch d.ref.Kind {
	case "Deployment", "ReplicaSet", "StatefulSet":
	default:
		return false
	}
	_, found, _ := unstructured.NestedFieldNoCopy(d.object.Unstructured().Object, "spec", "replicas")
	return !found
}

// letGo takes the replicas out of our entry before an apply that no longer says
// them: dropped by the apply itself, they would fall back to the API's default of
// one pod before the autoscaler is there to raise them. Of none that is what is
// wanted: at zero an autoscaler does nothing.
func (a *Applier) letGo(ctx context.Context, k known, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if !k.leavesReplicas() {
		return live, nil
	}
	if n, stated, _ := unstructured.NestedInt64(live.Object, "spec", "replicas"); stated && n == 0 {
		return live, nil
	}
	entries, changed, err := ownership.Without(live.GetManagedFields(), replicasPath)
	if err != nil || !changed {
		return live, nil //nolint:nilerr // an entry that cannot be read is left to the API server
	}
	return a.setManagedFields(ctx, k, live.GetResourceVersion(), entries)
}
