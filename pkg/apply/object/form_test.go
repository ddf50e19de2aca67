package object

import (
	"encoding/json"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestFormsAreSentAsTheAPIServerTakesThem(t *testing.T) {
	o, err := federation.NewObject(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
		"metadata": map[string]any{
			"name": "key", "resourceVersion": "5", "uid": "x", "creationTimestamp": nil, "managedFields": []any{},
			"labels": map[string]any{"a": "b", "n": int64(5)},
		},
		"data": map[string]any{"kept": "YQ==", "both": "YQ=="}, "stringData": map[string]any{"both": "b", "new": "c"},
	}, "secret.yaml")
	if err != nil {
		t.Fatal(err)
	}
	forms := NewForms()
	d := &Desired{App: "web", PartOf: "mine", Object: o, Ref: federation.ObjectRef{Kind: "Secret", Namespace: "default", Name: "key"}}
	made, err := forms.Of(d)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(made.About("", ""), &got); err != nil {
		t.Fatal(err)
	}
	const want = `map[apiVersion:v1 data:map[both:Yg== kept:YQ== new:Yw==] kind:Secret metadata:map[labels:map[a:b applyset.kubernetes.io/part-of:mine n:5] name:key namespace:default] type:Opaque]`
	if fmt.Sprint(got) != want {
		t.Errorf("form = %v\nwant   %s", got, want)
	}
	if err := json.Unmarshal(made.About("u", "7"), &got); err != nil {
		t.Fatal(err)
	}
	if metadata := got.(map[string]any)["metadata"].(map[string]any); metadata["uid"] != "u" || metadata["resourceVersion"] != "7" {
		t.Errorf("metadata of a form about one state = %v, want uid and resourceVersion", metadata)
	}
	again, _ := forms.Of(d)
	if &again.head[0] != &made.head[0] {
		t.Error("the form was built twice")
	}
	// The cache is bounded, and retains the most recent objects.
	for i := range 3 * formsKept {
		other := *d
		other.PartOf = fmt.Sprint(i)
		if _, err := forms.Of(&other); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(forms.recent) + len(forms.earlier); n > 2*formsKept {
		t.Errorf("forms kept = %d, want at most %d", n, 2*formsKept)
	}
}

func TestDefinedKindsAreThoseOfThePlan(t *testing.T) {
	o, err := federation.NewObject(map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": "things.example.com"},
		"spec": map[string]any{"group": "example.com", "names": map[string]any{"kind": "Thing"}},
	}, "crd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := DefinedKinds(federation.ClusterPlan{Apps: []federation.AppPlan{{Objects: []*federation.Object{o}}}})
	if len(got) != 1 || got[schema.GroupKind{Group: "example.com", Kind: "Thing"}] != o.Ref {
		t.Errorf("definedKinds = %v, want example.com Thing by %s", got, o.Ref)
	}
}
