package apply

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/federation"
)

// earlier is the Service nginx as a user created it with kubectl. Its target port,
// type, a port and labels differ from Git.
const earlier = `
apiVersion: v1
kind: Service
metadata:
  name: nginx
  namespace: NAMESPACE
  labels: {app: old, tier: gold}
  annotations:
    note: mine
    kubectl.kubernetes.io/last-applied-configuration: "{}"
spec:
  type: NodePort
  selector: {app: nginx, track: stable}
  sessionAffinity: ClientIP
  ports:
  - {name: http, port: 80, targetPort: 7070}
  - {name: extra, port: 90, targetPort: 7071}`

func TestAdoptionMakesTheObjectWhatCreationWouldHaveMade(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(f *fixture)
	}{
		{"kubectl apply", func(f *fixture) { f.create("kubectl-client-side-apply", earlier) }},
		{"kubectl apply --server-side", func(f *fixture) { f.applyAs("kubectl", earlier) }},
		{"helm, then kubectl edit", func(f *fixture) {
			f.create("helm", earlier)
			f.patchAs("kubectl-edit", object.Services, "nginx", `{"spec":{"ports":[{"name":"more","port":91}]}}`)
		}},
		{"managed fields cleared", func(f *fixture) {
			f.create("kubectl", earlier)
			f.clearManagedFields("nginx")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			c.make(f)
			before := f.get(object.Services, "nginx")
			r := f.mustSync(f.app("web", nginx))
			f.wantChanges(r.Changes, "adopted Service/nginx", "created ReplicaSet/nginx", "created Ingress/nginx")
			note := f.wantFinding(r.Findings, "adopted", "30 days")
			if want := "fedsync restore " + f.cluster + " Service/" + f.namespace + "/nginx"; !strings.Contains(note.Remedy.String(), want) {
				t.Errorf("remedy = %q, want it to contain %q", note.Remedy, want)
			}

			after := f.get(object.Services, "nginx")
			if diff := cmp.Diff(f.createdFresh(), ownedFields(after)); diff != "" {
				t.Errorf("the adopted object differs from a created one (-created +adopted):\n%s", diff)
			}
			if _, kept := after.GetAnnotations()["note"]; kept {
				t.Errorf("annotations = %v, want the user's gone", after.GetAnnotations())
			}
			if after.GetUID() != before.GetUID() {
				t.Error("the object was recreated, want it to be the same")
			}
			if got, _, _ := unstructured.NestedString(after.Object, "spec", "clusterIP"); got != clusterIP(before) {
				t.Errorf("clusterIP = %s, want %s as before", got, clusterIP(before))
			}
			f.upToDate()
			f.mustSync(f.app("web", nginx))
			f.wantRequests()
			f.start("one")
			f.mustSync(f.app("web", nginx))
			f.wantRequests()

			kept, err := f.Backups().List(t.Context())
			if err != nil || len(kept) != 1 {
				t.Fatalf("ListKept = %v, %v, want one", kept, err)
			}
			if diff := cmp.Diff(before.Object, kept[0].Content.Object); diff != "" {
				t.Errorf("the copy differs from the object (-before +kept):\n%s", diff)
			}
			if left := time.Until(kept[0].Expires); left < backup.Duration-time.Hour || left > backup.Duration {
				t.Errorf("it is kept for %s, want %s", left, backup.Duration)
			}
		})
	}
}

func clusterIP(u *unstructured.Unstructured) string {
	ip, _, _ := unstructured.NestedString(u.Object, "spec", "clusterIP")
	return ip
}

// createdFresh returns the Service nginx after creating it where none existed.
func (f *fixture) createdFresh() map[string]any {
	f.Helper()
	o := f.objects("web", strings.Split(nginx, "\n---\n")[0])[0]
	d := &object.Desired{App: "web", PartOf: "nobodys", Object: o, Ref: o.Ref}
	d.Ref.Name = "nginx-anew"
	u := d.Unstructured()
	u.SetName("nginx-anew")
	made, err := f.admin.Resource(object.Services).Namespace(f.namespace).Apply(f.Context(), "nginx-anew", u, metav1.ApplyOptions{FieldManager: ownership.FieldManager})
	if err != nil {
		f.Fatal(err)
	}
	return ownedFields(made)
}

// ownedFields returns labels and spec, without what the cluster chooses and without the
// part-of label.
func ownedFields(u *unstructured.Unstructured) map[string]any {
	u = u.DeepCopy()
	unstructured.RemoveNestedField(u.Object, "metadata", "labels", inventory.LabelPartOf)
	spec, _, _ := unstructured.NestedMap(u.Object, "spec")
	delete(spec, "clusterIP")
	delete(spec, "clusterIPs")
	return map[string]any{"labels": u.GetLabels(), "spec": spec}
}

// applyAs applies a manifest server-side with another field manager.
func (f *fixture) applyAs(who, manifest string) {
	f.Helper()
	o := f.objects("foreign", manifest)[0]
	mapping, err := f.writer.Mapping(f.Context(), o.Ref.GroupKind(), o.Version)
	if err != nil {
		f.Fatal(err)
	}
	_, err = f.admin.Resource(mapping.Resource).Namespace(o.Ref.Namespace).Apply(f.Context(), o.Ref.Name, o.Unstructured(), metav1.ApplyOptions{FieldManager: who, Force: true})
	if err != nil {
		f.Fatalf("apply %s as %s: %v", o.Ref, who, err)
	}
}

func (f *fixture) clearManagedFields(name string) {
	f.Helper()
	_, err := f.admin.Resource(object.Services).Namespace(f.namespace).Patch(f.Context(), name, types.MergePatchType,
		[]byte(`{"metadata":{"managedFields":[{}]}}`), metav1.PatchOptions{FieldManager: "kubectl"})
	if err != nil {
		f.Fatal(err)
	}
}

func TestAdoptionLeavesWhatControllersOwn(t *testing.T) {
	f := newFixture(t)
	f.create("kubectl-client-side-apply", earlier)
	f.patchAs("glbc", object.Services, "nginx", `{"metadata":{"labels":{"from-controller":"yes"}},"spec":{"ports":[{"name":"probe","port":99}]}}`)
	f.mustSync(f.app("web", nginx))
	u := f.get(object.Services, "nginx")
	ports, _, _ := unstructured.NestedSlice(u.Object, "spec", "ports")
	if len(ports) != 2 || u.GetLabels()["from-controller"] != "yes" {
		t.Errorf("ports = %v, labels = %v, want the controller's left", ports, u.GetLabels())
	}
	if u.GetLabels()["tier"] != "" {
		t.Errorf("labels = %v, want the user's gone", u.GetLabels())
	}
}

func TestAdoptionOfAnImmutableObjectTakesOverWhatItCan(t *testing.T) {
	f := newFixture(t)
	// A PersistentVolumeClaim's spec is immutable: what Git leaves out stays.
	f.create("kubectl-client-side-apply", claim+"\n  volumeName: volume-1")
	r := f.mustSync(f.app("web", claim))
	f.wantChanges(r.Changes, "adopted PersistentVolumeClaim/data")
	f.wantFinding(r.Findings, "foreign", "spec.volumeName (set by kubectl-client-side-apply)")
}

const claim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: NAMESPACE}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}`

func TestRestorePutsBackWhatWasThere(t *testing.T) {
	f := newFixture(t)
	before := f.create("kubectl-client-side-apply", earlier)
	f.mustSync(f.app("web", nginx))
	ref := federation.ObjectRef{Kind: "Service", Namespace: f.namespace, Name: "nginx"}
	if _, err := f.Backups().Restore(t.Context(), ref, false); err != nil {
		t.Fatal(err)
	}
	after := f.get(object.Services, "nginx")
	if diff := cmp.Diff(before.Object["spec"], after.Object["spec"]); diff != "" {
		t.Errorf("spec after Restore (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(before.GetLabels(), after.GetLabels()); diff != "" {
		t.Errorf("labels after Restore (-before +after):\n%s", diff)
	}
	// With Never it stays so.
	never := f.app("web", nginx)
	never.Adoption = federation.AdoptNever
	f.until("the restored object is no longer ours", func() bool { return len(f.Inventory()["web"]) == 2 })
	r := f.sync(never)
	f.wantFinding(r.Findings, "AlreadyExists", "not managed by fedsync")

	// A deleted object is created again.
	if err := f.admin.Resource(object.Services).Namespace(f.namespace).Delete(t.Context(), "nginx", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Backups().Restore(t.Context(), ref, false); err != nil {
		t.Fatal(err)
	}
	if got := f.get(object.Services, "nginx").GetLabels()["tier"]; got != "gold" {
		t.Errorf("label tier = %q, want gold", got)
	}
	if _, err := f.Backups().Restore(t.Context(), federation.ObjectRef{Kind: "Service", Namespace: f.namespace, Name: "none"}, false); err == nil {
		t.Error("Restore of what is not kept gives no error")
	}
}

func TestKeptObjectsExpire(t *testing.T) {
	f := newFixture(t)
	f.create("kubectl", earlier)
	f.mustSync(f.app("web", nginx))
	kept, err := f.Backups().List(t.Context())
	if err != nil || len(kept) != 1 {
		t.Fatalf("ListKept = %v, %v, want one", kept, err)
	}
	if err := f.Backups().Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kept, _ = f.Backups().List(t.Context()); len(kept) != 1 {
		t.Fatal("a kept object expired before its time")
	}
	past := `{"metadata":{"annotations":{"` + inventory.AnnotationExpires + `":"` + time.Now().Add(-time.Minute).UTC().Format(time.RFC3339) + `"}}}`
	f.patchOwn(object.Secrets, kept[0].Secret, past)
	f.open.Store(true)
	if err := f.Backups().Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kept, _ = f.Backups().List(t.Context()); len(kept) != 1 {
		t.Fatal("a kept object expired because its Secret was annotated")
	}
	f.patchOwn(object.ConfigMaps, kept[0].Secret, past)
	if err := f.Backups().Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	kept, proofs, err := f.Backups().All(t.Context())
	if err != nil || len(kept) != 0 || len(proofs) != 0 {
		t.Errorf("kept after its time = %v, %v, %v, want none", kept, proofs, err)
	}
}

func TestNeverLeavesWhatExists(t *testing.T) {
	f := newFixture(t)
	before := f.create("kubectl-client-side-apply", earlier)
	app := f.app("web", nginx)
	app.Adoption = federation.AdoptNever
	r := f.sync(app)
	got := f.wantFinding(r.Findings, "AlreadyExists", "it already exists and is not managed by fedsync")
	if !strings.Contains(got.Remedy.String(), "adoption: Always") {
		t.Errorf("remedy = %q, want it to name the setting", got.Remedy)
	}
	if after := f.get(object.Services, "nginx"); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Error("the object was written, want it untouched")
	}
	// An object that did not exist is ours like any other.
	f.get(ingresses, "nginx")
	f.start("one")
	app.Objects = app.Objects[1:]
	r = f.mustSync(app)
	f.wantChanges(r.Changes)
	f.wantRequests("PATCH configmaps/" + inventory.ParentName(f.federation, "web")) // the Service left Git
	for _, e := range f.get(ingresses, "nginx").GetManagedFields() {
		if e.Manager == ownership.FieldManager && e.Operation != metav1.ManagedFieldsOperationApply {
			t.Errorf("managed fields have an entry of ours by %s, want Apply alone", e.Operation)
		}
	}
}

func TestNeverLosesTheRaceRatherThanMerge(t *testing.T) {
	f := newFixture(t)
	var once sync.Once
	f.counter.failWith(func(r *http.Request) error {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/services") {
			once.Do(func() { f.create("kubectl", earlier) })
		}
		return nil
	})
	app := f.app("web", nginx)
	app.Adoption = federation.AdoptNever
	r := f.sync(app)
	f.wantFinding(r.Findings, "AlreadyExists", "not managed by fedsync")
	if got := f.get(object.Services, "nginx").GetLabels()["app"]; got != "old" {
		t.Errorf("label app = %q, want the other client's", got)
	}
}

func TestAdoptionKeepsOnlyWhatItOverwrites(t *testing.T) {
	f := newFixture(t)
	f.create("kubectl-client-side-apply", earlier)
	var once sync.Once
	f.counter.failWith(func(r *http.Request) error {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/services/nginx") {
			once.Do(func() { f.patchAs("kubectl", object.Services, "nginx", `{"metadata":{"labels":{"late":"yes"}}}`) })
		}
		return nil
	})
	f.mustSync(f.app("web", nginx))
	kept, err := f.Backups().List(t.Context())
	if err != nil || len(kept) != 2 {
		t.Fatalf("ListKept = %d, %v, want both states", len(kept), err)
	}
	labels := map[string]bool{}
	for _, k := range kept {
		labels[k.Content.GetLabels()["late"]] = true
	}
	if !labels["yes"] {
		t.Error("the state that was overwritten is not kept")
	}
}

func TestAnotherApplySetsObjectIsRefused(t *testing.T) {
	f := newFixture(t)
	parent := f.create("kubectl", `
apiVersion: v1
kind: ConfigMap
metadata: {name: other-set, namespace: NAMESPACE, labels: {"applyset.kubernetes.io/id": applyset-NAMESPACE-v1}}`)
	f.create("kubectl", strings.Replace(earlier, "tier: gold", `"applyset.kubernetes.io/part-of": applyset-NAMESPACE-v1`, 1))
	r := f.sync(f.app("web", nginx))
	f.wantFinding(r.Findings, "owned", "ConfigMap/"+parent.GetNamespace()+"/other-set")
	if got := f.get(object.Services, "nginx").GetLabels()["app"]; got != "old" {
		t.Errorf("label app = %q, want the object untouched", got)
	}
}

func TestWhatAControllerMadeIsNotAdopted(t *testing.T) {
	f := newFixture(t)
	f.create("kubectl", deployment)
	var name string
	f.until("the Deployment has its ReplicaSet", func() bool {
		list, err := f.admin.Resource(replicaSets).Namespace(f.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) > 0 {
			name = list.Items[0].GetName()
		}
		return name != ""
	})
	r := f.sync(f.app("web", strings.ReplaceAll(strings.Split(nginx, "\n---\n")[1], "{name: nginx, namespace", "{name: "+name+", namespace")))
	f.wantFinding(r.Findings, "owned", "its controller is Deployment echo")
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo, namespace: NAMESPACE}
spec:
  replicas: 1
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec: {containers: [{name: echo, image: echo}]}`
