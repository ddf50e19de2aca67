package ownership

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func TestManagersAreDistinguished(t *testing.T) {
	p := NewPeople([]string{"our-deployer", "team-*"})
	for name, want := range map[string]struct{ gives, foreign bool }{
		"kubectl": {true, true}, "kubectl-client-side-apply": {true, true}, "kubectl-edit": {true, true}, "helm": {true, true}, "Helm": {true, true},
		"terraform-provider-kubernetes": {true, true}, "HashiCorp": {true, true}, "pulumi-kubernetes-1f2e": {true, true}, "before-first-apply": {true, true},
		"kustomize-controller": {true, true}, "helm-controller": {true, true}, "argocd-controller": {true, true}, "node-fetch": {true, true},
		"our-deployer": {true, true}, "team-tool": {true, true},
		// What a name suggests does not count.
		"manager": {false, true}, "controller": {false, true}, "shop-controller": {false, true}, "some-operator": {false, true},
		"my-autoscaler": {false, true}, "helmet": {false, true}, "our-deployers": {false, true}, "python-requests": {false, true}, "Go-http-client": {false, true},
		"kube-controller-manager": {false, false}, "glbc": {false, false}, "endpointslice-controller": {false, false},
		"ingress-nginx-controller": {false, false}, "cert-manager-certificates-issuing": {false, false}, "gatekeeper": {false, false},
		"vpa-updater": {false, false}, "prometheus-operator": {false, false}, "fedsync": {false, false},
	} {
		e := metav1.ManagedFieldsEntry{Manager: name}
		if p.isAdoptable(e) != want.gives || p.isForeign(e) != want.foreign {
			t.Errorf("%s: gives %v, foreign %v, want %+v", name, p.isAdoptable(e), p.isForeign(e), want)
		}
		e.Subresource = "scale"
		if p.isAdoptable(e) || p.isForeign(e) {
			t.Errorf("%s: the entry of a subresource counts", name)
		}
	}
}

func TestTheDocumentListsEveryKnownManager(t *testing.T) {
	data, err := os.ReadFile("../../../docs/adoption.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(data), "## The field managers")
	people, rest, ok := strings.Cut(text, "Known controllers")
	if !ok {
		t.Fatal("docs/adoption.md has no list of known controllers")
	}
	listed := func(text string) []string {
		var out []string
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(m[1], "--") {
				out = append(out, m[1])
			}
		}
		slices.Sort(out)
		return out
	}
	controllersText, _, _ := strings.Cut(rest, "\n## ")
	for _, c := range []struct {
		what      string
		text      string
		inTheCode []string
	}{{"people's tools", people, peoplesTools}, {"controllers", controllersText, controllers}} {
		want := slices.Sorted(slices.Values(c.inTheCode))
		if diff := cmp.Diff(want, listed(c.text)); diff != "" {
			t.Errorf("%s in docs/adoption.md (-code +document):\n%s", c.what, diff)
		}
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
	got, moved, err := People{}.Transfer(entries, "v1", nil)
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

func TestGiveBackUndoesTransfers(t *testing.T) {
	raw := func(s string) *metav1.FieldsV1 {
		var f metav1.FieldsV1
		if err := json.Unmarshal([]byte(s), &f); err != nil {
			t.Fatal(err)
		}
		return &f
	}
	earlier := []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: "Update", APIVersion: "v1", FieldsV1: raw(`{"f:metadata":{"f:finalizers":{},"f:labels":{"f:b":{}}},"f:spec":{"f:type":{}}}`)},
		{Manager: "helm", Operation: "Apply", APIVersion: "v1", FieldsV1: raw(`{"f:spec":{"f:type":{},"f:x":{}}}`)},
		{Manager: "glbc", Operation: "Update", APIVersion: "v1", FieldsV1: raw(`{"f:spec":{"f:y":{}}}`)},
		{Manager: "kubectl", Operation: "Update", APIVersion: "v1", Subresource: "status", FieldsV1: raw(`{"f:status":{"f:z":{}}}`)},
	}
	transferred, moved, err := People{}.Transfer(earlier, "v1", nil)
	if err != nil || !moved {
		t.Fatalf("Transfer = moved %v, %v", moved, err)
	}
	byManager := func(entries []metav1.ManagedFieldsEntry) map[string]any {
		out := map[string]any{}
		for _, e := range entries {
			out[e.Manager+" "+string(e.Operation)+" "+e.Subresource] = normalYAML(t, e.FieldsV1.GetRawString())
		}
		return out
	}
	got, err := GiveBack(transferred, earlier)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(byManager(earlier), byManager(got)); diff != "" {
		t.Errorf("GiveBack (-before the transfer +after it):\n%s", diff)
	}
	// The previous owner may not be known, and other managers continue to write.
	transferred = append(transferred, metav1.ManagedFieldsEntry{Manager: "helm", Operation: "Apply", APIVersion: "v1", FieldsV1: raw(`{"f:spec":{"f:new":{}}}`)})
	if got, err = GiveBack(transferred, earlier[1:]); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"kubectl Update ":            normalYAML(t, `{"f:metadata":{"f:finalizers":{}}}`),
		"helm Apply ":                normalYAML(t, `{"f:spec":{"f:new":{},"f:type":{},"f:x":{}}}`),
		"glbc Update ":               normalYAML(t, `{"f:spec":{"f:y":{}}}`),
		"kubectl Update status":      normalYAML(t, `{"f:status":{"f:z":{}}}`),
		"before-first-apply Update ": normalYAML(t, `{"f:metadata":{"f:labels":{"f:b":{}}}}`),
	}
	if diff := cmp.Diff(want, byManager(got)); diff != "" {
		t.Errorf("GiveBack with some owners known (-want +got):\n%s", diff)
	}
	if again, err := GiveBack(got, earlier); err != nil || !cmp.Equal(got, again) {
		t.Errorf("a second GiveBack changes something: %v, %v", again, err)
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

func TestAnItemWhoseKeySomebodyChangedIsTransferred(t *testing.T) {
	const text = `
- {manager: fedsync, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:type": {}}}}
- {manager: kubectl-edit, operation: Update, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {"f:spec": {"f:ports": {'k:{"port":%d,"protocol":"%s"}': {".": {}, "f:name": {}}}}}}`
	for _, test := range []struct {
		port     int
		protocol string
		want     bool
	}{
		{80, "TCP", false}, // ours: Git leaves out the protocol
		{80, "UDP", true},
		{81, "TCP", true},
	} {
		var entries []metav1.ManagedFieldsEntry
		if err := yaml.Unmarshal(fmt.Appendf(nil, text, test.port, test.protocol), &entries); err != nil {
			t.Fatal(err)
		}
		rendered := map[string]any{"spec": map[string]any{"ports": []any{map[string]any{"name": "http", "port": int64(80)}}}}
		_, moved, err := People{}.TransferItems(entries, "v1", rendered)
		if err != nil || moved != test.want {
			t.Errorf("port %d over %s: moved %v, %v, want %v", test.port, test.protocol, moved, err, test.want)
		}
	}
}
