package ownership

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func TestManagersAreToldApart(t *testing.T) {
	for name, user := range map[string]bool{
		"kubectl": true, "kubectl-client-side-apply": true, "helm": true, "Helm": true, "terraform": true, "before-first-apply": true,
		"kustomize-controller": true, "argocd-controller": true,
		"kube-controller-manager": false, "glbc": false, "endpointslice-controller": false, "ingress-nginx-controller": false,
		"cert-manager-cainjector": false, "vpa-updater": false, "prometheus-operator": false, "fedsync": false,
	} {
		if got := isUser(metav1.ManagedFieldsEntry{Manager: name}); got != user {
			t.Errorf("isUser(%s) = %v, want %v", name, got, user)
		}
	}
	if isUser(metav1.ManagedFieldsEntry{Manager: "kubectl", Subresource: "scale"}) {
		t.Error("a subresource's entry counts as a user's")
	}
}

func TestTransferAndDisown(t *testing.T) {
	raw := func(s string) *metav1.FieldsV1 {
		var f metav1.FieldsV1
		if err := json.Unmarshal([]byte(s), &f); err != nil {
			t.Fatal(err)
		}
		return &f
	}
	entries := []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: "Update", APIVersion: "v1", FieldsV1: raw(`{"f:metadata":{"f:annotations":{"f:a":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}},"f:labels":{"f:b":{}}},"f:spec":{"f:type":{}},"f:webhooks":{"k:{\"name\":\"w\"}":{"f:clientConfig":{"f:caBundle":{}}}}}`)},
		{Manager: "kube-controller-manager", Operation: "Update", APIVersion: "v1", FieldsV1: raw(`{"f:spec":{"f:x":{}}}`)},
		{Manager: "kubectl", Operation: "Update", APIVersion: "v1", Subresource: "status", FieldsV1: raw(`{"f:status":{"f:y":{}}}`)},
		{Manager: "kubectl", Operation: "Update", APIVersion: "v2", FieldsV1: raw(`{"f:spec":{"f:z":{}}}`)},
		{Manager: FieldManager, Operation: "Apply", APIVersion: "v1", FieldsV1: raw(`{"f:spec":{"f:mine":{}}}`)},
	}
	got, moved, err := Transfer(entries, "v1")
	if err != nil || !moved {
		t.Fatalf("Transfer = moved %v, %v", moved, err)
	}
	want := `
- {manager: kubectl, operation: Update, apiVersion: v1, fieldsV1: {"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}}, "f:webhooks": {"k:{\"name\":\"w\"}": {"f:clientConfig": {"f:caBundle": {}}}}}, fieldsType: FieldsV1}
- {manager: kube-controller-manager, operation: Update, apiVersion: v1, fieldsV1: {"f:spec": {"f:x": {}}}}
- {manager: kubectl, operation: Update, apiVersion: v1, subresource: status, fieldsV1: {"f:status": {"f:y": {}}}}
- {manager: kubectl, operation: Update, apiVersion: v2, fieldsV1: {"f:spec": {"f:z": {}}}}
- {manager: fedsync, operation: Apply, apiVersion: v1, fieldsV1: {"f:metadata": {"f:annotations": {"f:a": {}}, "f:labels": {"f:b": {}}}, "f:spec": {"f:mine": {}, "f:type": {}}}, fieldsType: FieldsV1}
`
	if diff := cmp.Diff(normalYAML(t, want), normalYAML(t, mustJSON(t, got))); diff != "" {
		t.Errorf("Transfer (-want +got):\n%s", diff)
	}

	entries = []metav1.ManagedFieldsEntry{
		{Manager: beforeFirstApply, Operation: "Update", APIVersion: "v1", FieldsV1: raw(`{"f:spec":{"f:mine":{},"f:other":{}}}`)},
		{Manager: FieldManager, Operation: "Update", APIVersion: "v1", FieldsV1: raw(`{"f:spec":{"f:mine":{}}}`)},
		{Manager: FieldManager, Operation: "Apply", APIVersion: "v1", FieldsV1: raw(`{"f:spec":{"f:mine":{}}}`)},
	}
	got, changed, err := Disown(entries)
	if err != nil || !changed {
		t.Fatalf("Disown = changed %v, %v", changed, err)
	}
	want = `
- {manager: before-first-apply, operation: Update, apiVersion: v1, fieldsV1: {"f:spec": {"f:other": {}}}, fieldsType: FieldsV1}
- {manager: fedsync, operation: Apply, apiVersion: v1, fieldsV1: {"f:spec": {"f:mine": {}}}}
`
	if diff := cmp.Diff(normalYAML(t, want), normalYAML(t, mustJSON(t, got))); diff != "" {
		t.Errorf("Disown (-want +got):\n%s", diff)
	}
	if _, changed, _ = Disown(got); changed {
		t.Error("Disown changes what it has tidied up")
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func normalYAML(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}
