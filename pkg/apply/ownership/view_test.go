package ownership

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// live is a Deployment of ours as an API server returns it, on which kubectl set the
// strategy and kubectl scale set the replicas.
const live = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app: web}
  managedFields:
  - {manager: fedsync, operation: Apply, apiVersion: apps/v1, fieldsV1: {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:paused": {}}}}
  - {manager: kubectl-edit, operation: Update, apiVersion: apps/v1, fieldsV1: {"f:spec": {"f:strategy": {"f:type": {}}}}}
  - {manager: before-first-apply, operation: Update, apiVersion: apps/v1, fieldsV1: {"f:spec": {"f:minReadySeconds": {}}}}
  - {manager: kube-controller-manager, operation: Update, apiVersion: apps/v1, fieldsV1: {"f:spec": {"f:replicas": {}}}}
spec: {paused: true, replicas: 2, minReadySeconds: 0, strategy: {type: Recreate}}
status: {replicas: 2}`

func liveObject(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	return &unstructured.Unstructured{Object: object(t, live)}
}

func TestAViewShowsWhatIsOursAndWhatUsersAdded(t *testing.T) {
	v := NewHasher().View(liveObject(t), People{})
	if !v.Owned {
		t.Fatal("Owned = false, want true")
	}
	if want := []Field{{Path: "spec.strategy.type", Manager: "kubectl-edit"}}; !slices.Equal(v.Foreign, want) {
		t.Errorf("Foreign = %v, want %v", v.Foreign, want)
	}
	for path, want := range map[string]bool{"paused": true, "replicas": false} {
		if got := v.Owns(fieldpath.MakePathOrDie("spec", path)); got != want {
			t.Errorf("Owns(spec.%s) = %v, want %v", path, got, want)
		}
	}
	if (View{}).Owns(fieldpath.MakePathOrDie("spec", "paused")) {
		t.Error("the zero View owns a field")
	}
}

func TestARenderingMatchesWhatItMade(t *testing.T) {
	h := NewHasher()
	v := h.View(liveObject(t), People{})
	for text, want := range map[string]bool{
		`{metadata: {name: web, labels: {app: web}}, spec: {paused: true}}`:              true,
		`{metadata: {name: web, labels: {app: web}}, spec: {paused: false}}`:             false,
		`{metadata: {name: web, labels: {app: web}}, spec: {}}`:                          false,
		`{metadata: {name: web, labels: {app: web}}, spec: {paused: true, replicas: 2}}`: false,
	} {
		if got := h.Matches(v, object(t, text)); got != want {
			t.Errorf("Matches(%s) = %v, want %v", text, got, want)
		}
		if h.Matches(View{}, object(t, text)) {
			t.Errorf("the zero View matches %s", text)
		}
	}
}

func TestAChangeNamesItsPathsAndWhoMadeIt(t *testing.T) {
	h := NewHasher()
	base := h.View(liveObject(t), People{})
	fields := func(text string) *metav1.FieldsV1 {
		var f metav1.FieldsV1
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatal(err)
		}
		return &f
	}
	take := func(manager, subresource string) func(*unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) {
			entries := u.GetManagedFields()
			entries[0].FieldsV1 = fields(`{"f:metadata":{"f:labels":{"f:app":{}}}}`)
			entries = append(entries, metav1.ManagedFieldsEntry{
				Manager: manager, Operation: "Update", APIVersion: "apps/v1", Subresource: subresource, FieldsV1: fields(`{"f:spec":{"f:paused":{}}}`),
			})
			u.SetManagedFields(entries)
			u.Object["spec"].(map[string]any)["paused"] = false
		}
	}
	for _, c := range []struct {
		name   string
		change func(*unstructured.Unstructured)
		paths  []string
		by     string
	}{
		{"the status, and what is not ours", func(u *unstructured.Unstructured) {
			u.Object["status"] = map[string]any{"replicas": int64(3)}
			u.Object["spec"].(map[string]any)["replicas"] = int64(3)
		}, nil, ""},
		{"by kubectl", take("kubectl", ""), []string{"spec.paused"}, "kubectl"},
		{"through a subresource", take("kubectl", "scale"), []string{"spec.paused"}, "kubectl (through scale)"},
		{"under our own name", func(u *unstructured.Unstructured) { u.Object["spec"].(map[string]any)["paused"] = false }, []string{"spec.paused"}, AnotherFedsync},
		{"by one who leaves no trace", func(u *unstructured.Unstructured) {
			u.SetManagedFields(u.GetManagedFields()[1:])
		}, []string{"metadata.labels.app", "spec.paused"}, "somebody"},
	} {
		u := liveObject(t)
		c.change(u)
		v := h.View(u, People{})
		got := Compare(base, v, u.GetManagedFields())
		if !slices.Equal(got.Paths, c.paths) || c.paths != nil && got.By != c.by {
			t.Errorf("%s: change = %v, want %v by %s", c.name, got, c.paths, c.by)
		}
		if same := v.Mark() == base.Mark(); same != (c.paths == nil) {
			t.Errorf("%s: the mark is the same: %v, want %v", c.name, same, c.paths == nil)
		}
	}
}

func TestAdoptionTakesWhatUsersSet(t *testing.T) {
	want := []TakenField{
		{Path: "spec.strategy.type", Value: "Recreate", Defaulted: true},
		{Path: "spec.minReadySeconds", Value: float64(0), Defaulted: true},
	}
	if diff := cmp.Diff(want, People{}.Taken(liveObject(t))); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
}

func TestWithoutDropsOurPathOnly(t *testing.T) {
	entries := liveObject(t).GetManagedFields()
	out, changed, err := Without(entries, fieldpath.MakePathOrDie("spec", "paused"))
	if err != nil || !changed {
		t.Fatalf("Without = changed %v, %v", changed, err)
	}
	if got, want := out[0].FieldsV1.GetRawString(), `{"f:metadata":{"f:labels":{"f:app":{}}}}`; got != want {
		t.Errorf("our fields = %s, want %s", got, want)
	}
	if diff := cmp.Diff(entries[1:], out[1:]); diff != "" {
		t.Errorf("entries of others (-want +got):\n%s", diff)
	}
	if _, changed, err = Without(entries, fieldpath.MakePathOrDie("spec", "replicas")); changed || err != nil {
		t.Errorf("Without a path that is not ours = changed %v, %v", changed, err)
	}
}
