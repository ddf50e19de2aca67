package apply

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/federation"
)

// The schedule leaves such objects out. If one gets here nevertheless, nothing is
// written, adopted or deleted in fedsync's own namespace.
func TestNoPlanReachesFedsyncsOwnObjects(t *testing.T) {
	f := newFixture(t)
	f.create("kubectl-client-side-apply", earlier)
	f.mustSync(f.app("web", nginx))
	kept, err := f.Backups().List(t.Context())
	if err != nil || len(kept) != 1 {
		t.Fatalf("ListKept = %v, %v, want one", kept, err)
	}
	before := f.parent()
	own := []string{
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + before.GetName() + ", namespace: fedsync-system}\ndata: {forged: x}",
		"apiVersion: v1\nkind: Secret\nmetadata: {name: " + kept[0].Secret + ", namespace: fedsync-system}\nstringData: {forged: x}",
		"apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: new-NAMESPACE, namespace: fedsync-system}",
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: fedsync-system, labels: {forged: x}}",
	}
	r := f.sync(f.app("web", append(own, nginx)...))
	refused := 0
	for _, x := range r.Findings {
		if strings.Contains(x.Message.String(), "fedsync's own") {
			refused++
		}
	}
	if refused != len(own) {
		t.Errorf("%d findings of %d objects: %v", refused, len(own), r.Findings)
	}
	f.unchanged(before.GetUID(), kept[0])
	f.sync(f.app("web", nginx))
	f.unchanged(before.GetUID(), kept[0])
}

// What an earlier version allowed an app to write into the namespace is not pruned: it
// may have been derived from another federation's inventory.
func TestNothingInFedsyncsNamespaceIsPruned(t *testing.T) {
	f := newFixture(t)
	f.mustSync(f.app("web", nginx))
	name := "adopted-" + f.namespace
	left := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name + `","namespace":"fedsync-system","labels":{"` +
		inventory.LabelPartOf + `":"` + inventory.PartOf(f.federation, "web") + `"}},"data":{"a":"b"}}`
	force := true
	ours := f.admin.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace)
	if _, err := ours.Patch(t.Context(), name, types.ApplyPatchType, []byte(left), metav1.PatchOptions{FieldManager: ownership.FieldManager, Force: &force}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
	settings := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone, namespace: NAMESPACE}"
	f.mustSync(f.app("web", nginx, settings))
	f.mustSync(f.app("web", nginx))
	f.until("the ConfigMap that left Git is pruned", func() bool { return !f.exists(object.ConfigMaps, "gone") })
	if _, err := ours.Get(t.Context(), name, metav1.GetOptions{}); err != nil {
		t.Errorf("the one in fedsync's namespace: %v, want it left", err)
	}
	if refs := f.Inventory()["web"]; len(refs) == 0 || strings.Contains(refs[0].String(), name) {
		t.Errorf("inventory %v, want it without the namespace's own", refs)
	}
}

func (f *fixture) unchanged(parent types.UID, kept backup.Copy) {
	f.Helper()
	if now := f.parent(); now.GetUID() != parent || now.Object["data"] != nil {
		f.Errorf("the parent is %v, want it as it was", now.Object)
	}
	all, err := f.Backups().List(f.Context())
	if err != nil || len(all) != 1 || all[0].State != backup.Proved || all[0].Secret != kept.Secret {
		f.Errorf("kept %v, %v, want it as it was", all, err)
	}
	leases := schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	if _, err := f.admin.Resource(leases).Namespace(federation.SystemNamespace).Get(f.Context(), "new-"+f.namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		f.Errorf("the Lease: %v, want none", err)
	}
	space, err := f.admin.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Get(f.Context(), federation.SystemNamespace, metav1.GetOptions{})
	if err != nil || space.GetLabels()["forged"] != "" {
		f.Errorf("the namespace's labels are %v, %v", space.GetLabels(), err)
	}
}
