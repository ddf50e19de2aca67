package apply

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
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

// ownsReplicas says whether our entry has the replicas.
func (v *view) ownsReplicas() bool {
	set, err := parseSet(v.fields.Value())
	return err == nil && set.Has(replicasPath)
}

// letGo takes the replicas out of our entry before an apply that no longer says
// them: dropped by the apply itself, they would fall back to the API's default of
// one pod before the autoscaler is there to raise them.
func (a *Applier) letGo(ctx context.Context, k known, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if !k.leavesReplicas() {
		return live, nil
	}
	entries, changed, err := withoutReplicas(live.GetManagedFields())
	if err != nil || !changed {
		return live, nil //nolint:nilerr // an entry that cannot be read is left to the API server
	}
	return a.setManagedFields(ctx, k, live.GetResourceVersion(), entries)
}

// withoutReplicas gives the entries with the replicas taken out of ours, and
// whether they were there.
func withoutReplicas(entries []metav1.ManagedFieldsEntry) ([]metav1.ManagedFieldsEntry, bool, error) {
	out := make([]metav1.ManagedFieldsEntry, len(entries))
	changed := false
	for i, e := range entries {
		out[i] = e
		if !isOurs(e) {
			continue
		}
		set, err := decodeSet(e)
		if err != nil {
			return nil, false, err
		}
		if !set.Has(replicasPath) {
			continue
		}
		changed = true
		if out[i], err = encodeSet(e, set.Difference(fieldpath.NewSet(replicasPath))); err != nil {
			return nil, false, err
		}
	}
	return out, changed, nil
}
