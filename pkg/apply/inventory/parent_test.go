package inventory

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func webParent(t *testing.T) Parent {
	return Parent{
		Federation: "shop", App: "web", Source: "source", Instance: "one",
		Contents: contents(t, "apps/ReplicaSet/b/nginx", "Service/a/nginx", "Namespace/c"), ResourceVersion: "5",
		Ended: map[string]Ended{"job.a.migrate": {Digest: "1f"}, "job.b.check": {Digest: "2f", Failed: true}},
	}
}

func TestAParentIsWrittenAsTheApplySetSpecificationWantsIt(t *testing.T) {
	want := map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"name": "fedsync-shop-web", "namespace": "fedsync-system", "resourceVersion": "5",
			"labels": map[string]any{"applyset.kubernetes.io/id": PartOf("shop", "web"), "fedsync.dev/federation": "shop"},
			"annotations": map[string]any{
				"applyset.kubernetes.io/tooling":               "fedsync/v1.2.3",
				"applyset.kubernetes.io/contains-group-kinds":  "Namespace,ReplicaSet.apps,Service",
				"applyset.kubernetes.io/additional-namespaces": "a,b",
				"fedsync.dev/federation":                       "shop",
				"fedsync.dev/app":                              "web",
				"fedsync.dev/source":                           "source",
				"fedsync.dev/instance":                         "one",
			},
		},
		"data": map[string]any{"job.a.migrate": "Complete 1f", "job.b.check": "Failed 2f"},
	}
	if diff := cmp.Diff(want, webParent(t).Object("v1.2.3").Object); diff != "" {
		t.Errorf("parent (-want +got):\n%s", diff)
	}
}

func TestAParentReadsAsItWasWritten(t *testing.T) {
	want := webParent(t)
	u := want.Object("")
	got := Read(u)
	got.tooling = ""
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(Parent{})); diff != "" {
		t.Errorf("parent (-want +got):\n%s", diff)
	}
	if app := AppOf("shop", u); app != "web" {
		t.Errorf("AppOf = %q, want web", app)
	}
	if app := AppOf("other", u); app != "" {
		t.Errorf("AppOf another federation = %q, want none", app)
	}
	u.SetName("fedsync-shop-web-copy")
	if app := AppOf("shop", u); app != "" {
		t.Errorf("AppOf a copy with another name = %q, want none", app)
	}
	u.SetName("fedsync-shop-web")
	u.SetNamespace("default")
	if app := AppOf("shop", u); app != "" {
		t.Errorf("AppOf a ConfigMap of another namespace = %q, want none", app)
	}
}

func TestAParentOfSomebodyElseIsRefused(t *testing.T) {
	owner := Owner{Federation: "shop", Source: "source", FormerSources: []string{"former"}}
	annotate := func(name, value string) func(*unstructured.Unstructured) {
		return func(u *unstructured.Unstructured) {
			annotations := u.GetAnnotations()
			annotations[name] = value
			u.SetAnnotations(annotations)
		}
	}
	for _, c := range []struct {
		name        string
		change      func(*unstructured.Unstructured)
		why, remedy string
	}{
		{"ours", func(*unstructured.Unstructured) {}, "", ""},
		{"of another version", annotate(annotationTooling, "fedsync/v9"), "", ""},
		{"of a former source", annotate(annotationSource, "former"), "", ""},
		{"of kubectl", annotate(annotationTooling, "kubectl/v1.36"), `it belongs to the tool "kubectl/v1.36"`, "rename the federation or the app"},
		{"of another app", annotate(annotationApp, "shop"), `it belongs to app "shop" of federation "shop"`, "rename the federation or the app"},
		{"of another federation", annotate(annotationFederation, "web"), `it belongs to app "web" of federation "web"`, "rename the federation or the app"},
		{
			"of another source", annotate(annotationSource, "other"), `it belongs to another source (repository, ref and federation): "other"; this source is "source"`,
			"run `fedsync takeover` with these settings to see what it would move, and add --yes to move it",
		},
	} {
		u := webParent(t).Object("")
		c.change(u)
		why, remedy := owner.Refusal("web", Read(u))
		if why != c.why || !strings.HasSuffix(remedy, c.remedy) || (remedy == "") != (c.remedy == "") {
			t.Errorf("%s: refusal = %q, %q, want %q, %q", c.name, why, remedy, c.why, c.remedy)
		}
	}
}
