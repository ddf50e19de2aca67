package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/federation"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

func TestApplyCreatesThenLeavesThenConfigures(t *testing.T) {
	f := newFixture(t)
	r := f.mustSync(f.app("web", nginx))
	f.wantChanges(r.Changes, "created Service/nginx", "created ReplicaSet/nginx", "created Ingress/nginx")
	if got := f.get(object.Services, "nginx").GetLabels()[inventory.LabelPartOf]; got != inventory.PartOf(f.federation, "web") {
		t.Errorf("part-of label = %q, want %q", got, inventory.PartOf(f.federation, "web"))
	}

	r = f.mustSync(f.app("web", nginx))
	f.wantChanges(r.Changes)
	f.wantRequests()

	changed := strings.NewReplacer("8080", "8081", "team: web", "team: shop").Replace(nginx)
	r = f.mustSync(f.app("web", changed))
	f.wantChanges(r.Changes, "configured Service/nginx", "configured ReplicaSet/nginx", "configured Ingress/nginx")
	// Only these: no read before, no write to the inventory.
	f.wantRequests("PATCH services/nginx", "PATCH replicasets/nginx", "PATCH ingresses/nginx")
}

func TestARestartWithNothingChangedMakesNoRequestForAnObject(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx, `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: NAMESPACE, creationTimestamp: null}
stringData: {password: hunter2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NAMESPACE}
data: {a: "1"}
`))
	before := f.versions()
	f.start("one")
	r := f.mustSync(f.app("web", nginx, `
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: NAMESPACE, creationTimestamp: null}
stringData: {password: hunter2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NAMESPACE}
data: {a: "1"}
`))
	f.wantRequests()
	f.wantChanges(r.Changes)
	if after := f.versions(); after != before {
		t.Errorf("resourceVersions after the restart = %s, want %s", after, before)
	}
}

// versions changes with every write to the app's objects. For the Ingress it uses the
// generation, since its controller writes the status.
func (f *fixture) versions() string {
	f.Helper()
	return fmt.Sprintf("Service %s, Ingress %d, parent %s", f.get(object.Services, "nginx").GetResourceVersion(),
		f.get(ingresses, "nginx").GetGeneration(), f.parent().GetResourceVersion())
}

func TestARestartFindsWhatChangedMeanwhile(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.stop()
	f.patchAs("kubectl-edit", object.Services, "nginx", `{"spec":{"ports":[{"port":80,"targetPort":9999}]}}`)
	f.start("one")
	r := f.mustSync(f.app("web", nginx))
	f.wantChanges(r.Changes, "configured Service/nginx")
	f.wantRequests("PATCH services/nginx")
}

func TestAKindThatIsNotWatchedIsReadInstead(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	f.start("one")
	f.counter.reset()
	r := f.Apply(f.plan) // without a watch
	f.wantChanges(r.Changes)
	f.wantRequests("GET services/nginx", "GET replicasets/nginx", "GET ingresses/nginx")
	f.counter.reset()
	f.Apply(f.plan)
	f.wantRequests()
}

func TestOneBadObjectDoesNotStopTheOthers(t *testing.T) {
	f := newFixture(t)
	bad := strings.Replace(nginx, "port: 80, targetPort", "port: 80000, targetPort", 1)
	r := f.sync(f.app("web", bad))
	if r.Complete {
		t.Error("Apply is complete, want it not to be")
	}
	var actions []string
	for _, c := range r.Changes {
		actions = append(actions, string(c.Action)+" "+c.Object.Kind)
	}
	if got, want := strings.Join(actions, ", "), "failed Service, created ReplicaSet, created Ingress"; got != want {
		t.Errorf("changes = %s, want %s", got, want)
	}
	f.wantFinding(r.Findings, "D10", "80000")
	if e := r.Changes[0].Err.Error(); !strings.HasPrefix(e, "create Service/"+f.namespace+"/nginx (apps/web/all.yaml): ") {
		t.Errorf("error = %s, want verb, object and file first", e)
	}
	f.mustSync(f.app("web", nginx))
	if got := f.now().Findings; len(got) > 0 {
		t.Errorf("findings after it was fixed = %v, want none", got)
	}
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	f := newFixture(t)
	r := f.sync(f.app("web", strings.Replace(nginx, "replicas: 1", "replicsa: 1", 1)))
	f.wantFinding(r.Findings, "D10", "replicsa")
}

func TestADefinitionAndItsObjectsGoInOnePlan(t *testing.T) {
	f := newFixture(t)
	group := f.namespace + ".example.com"
	t.Cleanup(func() {
		_ = f.admin.Resource(definitions).Delete(context.WithoutCancel(t.Context()), "tests."+group, metav1.DeleteOptions{})
	})
	manifests := strings.ReplaceAll(`
apiVersion: GROUP/v1
kind: Test
metadata: {name: one, namespace: NAMESPACE}
spec: {size: 3}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tests.GROUP}
spec:
  group: GROUP
  names: {kind: Test, plural: tests, singular: test}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {size: {type: integer}, colour: {type: string, default: red}}}}
`, "GROUP", group)
	r := f.mustSync(f.app("web", manifests))
	slices.SortFunc(r.Changes, func(a, b federation.Change) int { return strings.Compare(a.Object.Kind, b.Object.Kind) })
	f.wantChanges(r.Changes, "created CustomResourceDefinition/tests."+group, "created Test/one")
	if tests := (schema.GroupVersionResource{Group: group, Version: "v1", Resource: "tests"}); !slices.Contains(f.Resources(), tests) {
		t.Errorf("Resources = %v, want %v among them", f.Resources(), tests)
	}
	f.start("one")
	f.mustSync(f.app("web", manifests))
	f.wantRequests()
}

func TestNamespacesAreMadeIfThePlanSaysSo(t *testing.T) {
	f := newFixture(t)
	other := f.namespace + "-b"
	manifest := strings.ReplaceAll(nginx, "NAMESPACE", other)
	r := f.sync(f.app("web", manifest))
	got := f.wantFinding(r.Findings, "D09", other)
	if !strings.Contains(got.Remedy.String(), "kubectl create namespace "+other) {
		t.Errorf("remedy = %q, want the command that creates it", got.Remedy)
	}
	f.plan.CreateNamespaces = true
	t.Cleanup(func() {
		_ = f.admin.Resource(object.Namespaces).Delete(context.WithoutCancel(t.Context()), other, metav1.DeleteOptions{})
	})
	if r = f.Apply(f.plan); !r.Complete {
		t.Fatalf("Apply is not complete: %v", r.Findings)
	}
	ns, err := f.admin.Resource(object.Namespaces).Get(f.ctx, other, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ns.GetLabels()[inventory.LabelPartOf] != "" || ns.GetAnnotations()[request.AnnotationCreated] == "" {
		t.Errorf("namespace has labels %v and annotations %v, want no part-of label and %s", ns.GetLabels(), ns.GetAnnotations(), request.AnnotationCreated)
	}
	// It stays when all objects in it go.
	f.until("the new objects are seen", func() bool { return len(f.Inventory()["web"]) == 3 })
	f.watch()
	f.mustSync(federation.AppPlan{App: "web", Prune: federation.PruneAllowed})
	if ns, err = f.admin.Resource(object.Namespaces).Get(f.ctx, other, metav1.GetOptions{}); err != nil || ns.GetDeletionTimestamp() != nil {
		t.Errorf("namespace after the prune: %v, want it to stay", err)
	}
}

func TestAnObjectWithoutANamespaceGoesWhereItsKindSays(t *testing.T) {
	f := newFixture(t)
	name := f.namespace
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = f.admin.Resource(object.ConfigMaps).Namespace("default").Delete(ctx, name, metav1.DeleteOptions{})
		_ = f.admin.Resource(priorityClasses).Delete(ctx, name, metav1.DeleteOptions{})
	})
	manifests := strings.ReplaceAll(`
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: NAME, namespace: default}
value: 7
`, "NAME", name)
	f.mustSync(f.app("web", manifests))
	f.mustSync(f.app("web", manifests))
	f.wantRequests()
	f.mustSync(federation.AppPlan{App: "web", Prune: federation.PruneAllowed})
	if _, err := f.admin.Resource(priorityClasses).Get(f.ctx, name, metav1.GetOptions{}); err == nil {
		t.Error("the PriorityClass is still there, want it pruned")
	}
}
