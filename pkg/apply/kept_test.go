package apply

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/federation"
)

// patchOwn changes an object in fedsync's own namespace as an administrator.
func (f *fixture) patchOwn(resource schema.GroupVersionResource, name, patch string) {
	f.Helper()
	if _, err := f.admin.Resource(resource).Namespace(federation.SystemNamespace).Patch(f.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) deleteOwnByHand(resource schema.GroupVersionResource, name string) {
	f.Helper()
	if err := f.admin.Resource(resource).Namespace(federation.SystemNamespace).Delete(f.Context(), name, metav1.DeleteOptions{}); err != nil {
		f.Fatal(err)
	}
}

// forge creates a Secret like fedsync's, without a proof in the inventory.
func (f *fixture) forge(name string, content map[string]any) {
	f.Helper()
	data, err := json.Marshal(content)
	if err != nil {
		f.Fatal(err)
	}
	secret, err := backup.Pack(inventory.Proof{
		Federation: f.Federation, Secret: name, Object: federation.RefOf(&unstructured.Unstructured{Object: content}), Expires: time.Now().Add(backup.Duration),
	}, data)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := f.admin.Resource(object.Secrets).Namespace(federation.SystemNamespace).Create(f.Context(), secret, metav1.CreateOptions{}); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		_ = f.admin.Resource(object.Secrets).Namespace(federation.SystemNamespace).Delete(context.WithoutCancel(f.Context()), name, metav1.DeleteOptions{})
	})
}

func (f *fixture) forgedService() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"name": "nginx", "namespace": f.namespace, "labels": map[string]any{"tier": "forged"}},
		"spec":     map[string]any{"ports": []any{map[string]any{"port": int64(80)}}},
	}
}

func (f *fixture) wantNotProved(err error, state backup.State) {
	f.Helper()
	var not *backup.NotProvedError
	if !errors.As(err, &not) || not.Copy.State != state || !strings.Contains(err.Error(), federation.SystemNamespace+"/"+not.Copy.Secret) {
		f.Errorf("Restore: %v, want it refused as %s, with the Secret's name", err, state)
	}
}

func TestRestoreTakesOnlyWhatFedsyncKept(t *testing.T) {
	f := newFixture(t)
	ref := federation.ObjectRef{Kind: "Service", Namespace: f.namespace, Name: "nginx"}
	forged := "kept-" + f.namespace
	f.forge(forged, f.forgedService())
	_, err := f.Backups().Restore(t.Context(), ref, false)
	f.wantNotProved(err, backup.Unproved)
	if _, err := f.admin.Resource(object.Services).Namespace(f.namespace).Get(t.Context(), "nginx", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the forged Service: %v, want it not made", err)
	}

	// The copy by fedsync is restored, although the forged one exists and is newer.
	f.deleteOwnByHand(object.Secrets, forged)
	f.create("kubectl-client-side-apply", earlier)
	f.mustSync(f.app("web", nginx))
	f.forge(forged, f.forgedService())
	kept, err := f.Backups().Restore(t.Context(), ref, false)
	if err != nil || kept.Secret == forged || kept.State != backup.Proved {
		t.Fatalf("Restore = %+v, %v, want what fedsync kept", kept, err)
	}
	if got := f.get(object.Services, "nginx").GetLabels()["tier"]; got != "gold" {
		t.Errorf("label tier = %q, want gold", got)
	}

	// A user may restore what an earlier version kept.
	f.deleteOwnByHand(object.ConfigMaps, kept.Secret)
	f.deleteOwnByHand(object.Secrets, forged)
	_, err = f.Backups().Restore(t.Context(), ref, false)
	f.wantNotProved(err, backup.Unproved)
	if again, err := f.Backups().Restore(t.Context(), ref, true); err != nil || again.Secret != kept.Secret {
		t.Errorf("Restore of what is unproved = %+v, %v, want it restored on request", again, err)
	}
}

func TestRestoreRefusesWhatWasChanged(t *testing.T) {
	f := newFixture(t)
	ref := federation.ObjectRef{Kind: "Service", Namespace: f.namespace, Name: "nginx"}
	f.create("kubectl-client-side-apply", earlier)
	f.mustSync(f.app("web", nginx))
	kept, err := f.Backups().List(t.Context())
	if err != nil || len(kept) != 1 || kept[0].State != backup.Proved {
		t.Fatalf("ListKept = %v, %v, want one that is proved", kept, err)
	}
	name := kept[0].Secret
	elsewhere := federation.ObjectRef{Kind: "Secret", Namespace: "kube-system", Name: "x"}
	refuse := func(way string) {
		t.Helper()
		for _, unproved := range []bool{false, true} {
			_, err := f.Backups().Restore(t.Context(), ref, unproved)
			f.wantNotProved(err, backup.Changed)
			if _, err = f.Backups().Restore(t.Context(), elsewhere, unproved); err == nil {
				t.Errorf("%s: put back as another object, want it refused", way)
			}
		}
	}
	f.patchOwn(object.Secrets, name, `{"metadata":{"annotations":{"`+inventory.AnnotationObject+`":"`+elsewhere.String()+`"}}}`)
	refuse("the name of another object")
	f.deleteOwnByHand(object.Secrets, name)
	f.forge(name, f.forgedService())
	refuse("another content")
	f.patchOwn(object.Secrets, name, `{"metadata":{"annotations":{"`+inventory.AnnotationExpires+`":"never"}}}`)
	refuse("what cannot be read")
}

func TestAForeignObjectInPlaceOfACopyIsAnError(t *testing.T) {
	f := newFixture(t)
	live := f.create("kubectl-client-side-apply", earlier)
	ref := federation.RefOf(live)
	f.open.Store(true)
	first, err := f.Backups().Keep(t.Context(), ref, live)
	if err != nil {
		t.Fatal(err)
	}
	name := first.Secret
	// Again, like after a restart between the copy and the write: it is the same.
	if again, err := f.Backups().Keep(t.Context(), ref, live); err != nil || again.Secret != name {
		t.Errorf("keep again = %q, %v, want %q", again.Secret, err, name)
	}
	f.deleteOwnByHand(object.Secrets, name)
	f.forge(name, f.forgedService())
	if _, err := f.Backups().Keep(t.Context(), ref, live); err == nil || !strings.Contains(err.Error(), "was not created by fedsync") {
		t.Errorf("keep with a foreign Secret in its place: %v, want an error: what is overwritten would be lost", err)
	}
	f.deleteOwnByHand(object.Secrets, name)
	if _, err := f.Backups().Keep(t.Context(), ref, live); err != nil {
		t.Errorf("keep after that was deleted: %v", err)
	}
}

// seen is a status that a controller gives a Service.
const seen = `{"status":{"conditions":[{"type":"example.com/Seen","status":"True","reason":"Test","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`

// Whatever changes between two tries, other than the object's content, it is kept one
// time.
func TestAnObjectIsKeptOncePerContent(t *testing.T) {
	f := newFixture(t)
	f.create("kubectl-client-side-apply", earlier)
	before := f.get(object.Services, "nginx")
	f.counter.between(func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/services/nginx") {
			return forbidden(r), nil
		}
		return next.RoundTrip(r)
	})
	app := f.app("web", nginx)
	for _, touch := range []func(){
		func() {},
		func() {},
		func() {
			f.patchAs("cloud-controller-manager", object.Services, "nginx", seen, "status")
		},
		func() { f.applyAs("another", earlier) }, // owns the same fields
		func() { f.patchAs("kubectl", object.Services, "nginx", `{"metadata":{"finalizers":[]}}`) },
	} {
		touch()
		f.wantFinding(f.sync(app).Findings, "D07", "cannot do this")
	}
	kept, proofs, err := f.Backups().All(t.Context())
	if err != nil || len(kept) != 1 || len(proofs) != 1 || kept[0].State != backup.Proved {
		t.Fatalf("kept %d with %d proofs, %v, want one", len(kept), len(proofs), err)
	}
	if diff := cmp.Diff(before.Object, kept[0].Content.Object); diff != "" {
		t.Errorf("the copy is not of the first try (-want +got):\n%s", diff)
	}
	f.patchAs("kubectl", object.Services, "nginx", `{"metadata":{"labels":{"another":"content"}}}`)
	f.sync(app)
	if kept, _ = f.Backups().List(t.Context()); len(kept) != 2 {
		t.Errorf("kept %d, want another copy for other content", len(kept))
	}
}

// A try that was interrupted after the proof does not prevent a later one.
func TestAnObjectIsKeptAfterAnInterruptedTry(t *testing.T) {
	f := newFixture(t)
	live := f.create("kubectl-client-side-apply", earlier)
	f.open.Store(true)
	f.counter.failWith(func(r *http.Request) error {
		if strings.HasSuffix(r.URL.Path, "/secrets") {
			return errCut
		}
		return nil
	})
	if _, err := f.Backups().Keep(t.Context(), federation.RefOf(live), live); err == nil {
		t.Fatal("kept without a Secret")
	}
	f.counter.failWith(nil)
	live = f.patchAs("cloud-controller-manager", object.Services, "nginx", seen, "status")
	if _, err := f.Backups().Keep(t.Context(), federation.RefOf(live), live); err != nil {
		t.Fatal(err)
	}
	kept, proofs, err := f.Backups().All(t.Context())
	if err != nil || len(kept) != 1 || len(proofs) != 1 || kept[0].State != backup.Proved {
		t.Errorf("kept %v with %d proofs, %v, want one that is proved", kept, len(proofs), err)
	}
}

// An earlier version named a Secret by the resourceVersion of the object.
func TestRestoreTakesWhatWasKeptUnderAnotherName(t *testing.T) {
	f := newFixture(t)
	live := f.create("kubectl-client-side-apply", earlier)
	ref := federation.RefOf(live)
	data, err := json.Marshal(live.Object)
	if err != nil {
		t.Fatal(err)
	}
	proof := inventory.Proof{
		Federation: f.federation, Secret: "kept-" + f.namespace, Object: ref,
		Digest: inventory.KeptDigest(ref, data), Expires: time.Now().Add(backup.Duration),
	}
	f.forge(proof.Secret, live.Object)
	if _, err := f.admin.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Create(t.Context(), proof.ConfigMap(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.Cleanup(func() {
		_ = f.admin.Resource(object.ConfigMaps).Namespace(federation.SystemNamespace).Delete(context.WithoutCancel(f.Context()), proof.Secret, metav1.DeleteOptions{})
	})
	if err := f.admin.Resource(object.Services).Namespace(f.namespace).Delete(t.Context(), "nginx", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if kept, err := f.Backups().Restore(t.Context(), ref, false); err != nil || kept.Secret != proof.Secret {
		t.Errorf("Restore = %+v, %v, want what is kept in %s", kept, err, proof.Secret)
	}
	if got := f.get(object.Services, "nginx").GetLabels()["tier"]; got != "gold" {
		t.Errorf("label tier = %q, want gold", got)
	}
}

// A copy that was kept long ago and is adopted again is the latest one, and is kept for
// the whole time from then on.
func TestAdoptingAgainExtendsTheTimeOfTheCopy(t *testing.T) {
	f := newFixture(t)
	live := f.create("kubectl-client-side-apply", earlier)
	ref := federation.RefOf(live)
	f.open.Store(true)
	age := func(name string, left time.Duration) {
		f.patchOwn(object.ConfigMaps, name, `{"metadata":{"annotations":{"`+inventory.AnnotationExpires+`":"`+time.Now().Add(left).UTC().Format(time.RFC3339)+`"}}}`)
	}
	first, err := f.Backups().Keep(t.Context(), ref, live)
	if err != nil {
		t.Fatal(err)
	}
	age(first.Secret, 24*time.Hour)
	live = f.patchAs("kubectl", object.Services, "nginx", `{"metadata":{"labels":{"tier":"silver"}}}`)
	second, err := f.Backups().Keep(t.Context(), ref, live)
	if err != nil || second.Secret == first.Secret {
		t.Fatalf("keep = %s, %v, want another than %s", second.Secret, err, first.Secret)
	}
	age(second.Secret, 48*time.Hour)
	live = f.patchAs("kubectl", object.Services, "nginx", `{"metadata":{"labels":{"tier":"gold"}}}`)
	if again, err := f.Backups().Keep(t.Context(), ref, live); err != nil || again.Secret != first.Secret {
		t.Fatalf("keep = %s, %v, want %s again", again.Secret, err, first.Secret)
	}
	kept, err := f.Backups().List(t.Context())
	if err != nil || len(kept) != 2 || kept[1].Secret != first.Secret {
		t.Fatalf("ListKept = %v, %v, want what was kept last at the end", kept, err)
	}
	if left := time.Until(kept[1].Expires); left < backup.Duration-time.Hour || left > backup.Duration {
		t.Errorf("it is kept for %s, want %s", left, backup.Duration)
	}
	if took, err := f.Backups().Restore(t.Context(), ref, false); err != nil || took.Secret != first.Secret {
		t.Errorf("Restore took %s, %v, want %s", took.Secret, err, first.Secret)
	}
}
