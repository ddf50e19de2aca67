package daemon

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/schedule"
)

// The plan refuses the names that apply reserves, although neither package imports the
// other.
func TestThePlanReservesWhatApplyKeeps(t *testing.T) {
	if schedule.ReservedNamespace != federation.SystemNamespace {
		t.Errorf("the plan reserves namespace %s, apply writes to %s", schedule.ReservedNamespace, federation.SystemNamespace)
	}
	parent := inventory.Parent{Federation: "shop", App: "web"}.Object("")
	proof := inventory.Proof{Federation: "shop", Object: federation.ObjectRef{Kind: "Service", Name: "web"}}.ConfigMap()
	labels := map[string]string{inventory.LabelKept: ""}
	annotations := map[string]string{}
	for _, u := range []interface {
		GetLabels() map[string]string
		GetAnnotations() map[string]string
	}{parent, proof} {
		for key := range u.GetLabels() {
			labels[key] = ""
		}
		for key := range u.GetAnnotations() {
			annotations[key] = ""
		}
	}
	for key := range labels {
		if !schedule.ReservesLabel(key) {
			t.Errorf("the plan does not reserve the label %s", key)
		}
	}
	for key := range annotations {
		if !schedule.ReservesAnnotation(key) {
			t.Errorf("the plan does not reserve the annotation %s", key)
		}
	}
	for _, key := range federation.Settings() {
		if schedule.ReservesAnnotation(key) {
			t.Errorf("the plan reserves the setting %s", key)
		}
	}
}
