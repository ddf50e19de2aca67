package daemon

import (
	"slices"
	"testing"

	"github.com/fedsync/fedsync/pkg/apply"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/schedule"
)

// The plan refuses what apply keeps, and neither package knows the other.
func TestThePlanReservesWhatApplyKeeps(t *testing.T) {
	if schedule.ReservedNamespace != apply.Namespace {
		t.Errorf("the plan reserves namespace %s, apply writes to %s", schedule.ReservedNamespace, apply.Namespace)
	}
	for _, label := range []string{inventory.LabelParentID, inventory.LabelFederation} {
		if !slices.Contains(schedule.ReservedLabels, label) {
			t.Errorf("the plan does not reserve the label %s", label)
		}
	}
}
