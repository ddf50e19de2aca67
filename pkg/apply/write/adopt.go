package write

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/federation"
)

// adopt takes over an object that existed before and makes it match the plan. A forced
// apply alone would leave the fields that other clients added, so ownership of what
// users own under spec, labels and annotations is transferred to us first. A copy of
// the object is kept, and every write carries the resourceVersion: the copy is of
// exactly what was overwritten.
//
// The process may end between any two of these requests. The label that makes the
// object ours is set by the last of them, the apply. An object with our entry and
// without our label is one whose adoption is not finished, and it is adopted again.
func (wr *Writer) adopt(ctx context.Context, k Known, live *unstructured.Unstructured) (Outcome, error) {
	out := Outcome{Verb: "adopt", Action: federation.ActionAdopted}
	if k.Adoption == federation.AdoptNever {
		return out, AlreadyExists(k.Desired)
	}
	kept, err := wr.Backups.Keep(ctx, k.Ref, live)
	if err != nil {
		return out, fmt.Errorf("back up the object: %w", err)
	}
	out.Note = &federation.Finding{
		ID: federation.FindingAdopted, Severity: federation.SeverityNote, Cluster: wr.Cluster, App: k.App, Object: k.Object.Ref, File: k.Object.File,
		Message: untrusted.Textf("existing object adopted; the previous object is kept for %d days in Secret %s/%s", int(backup.Duration.Hours()/24), federation.SystemNamespace, kept.Secret),
		Remedy:  untrusted.Textf("to restore it: fedsync restore %s %s", wr.Cluster, k.Ref),
	}
	if live, err = wr.nameOwners(ctx, k, live); err != nil {
		return out, err
	}
	before, err := ownership.GiveBack(live.GetManagedFields(), kept.Content.GetManagedFields())
	if err != nil {
		return out, err
	}
	answer, err := wr.conform(ctx, k, live, before)
	if err != nil && !isAnother(err) {
		answer, err = wr.restate(ctx, k, err, func(entries []metav1.ManagedFieldsEntry, apiVersion string) ([]metav1.ManagedFieldsEntry, bool, error) {
			return wr.Reader.People.Transfer(entries, apiVersion, k.Unstructured().Object)
		})
	}
	if err != nil {
		return out, err
	}
	out.Answer, err = wr.tidy(ctx, k, answer)
	return out, err
}

// nameOwners makes the API server name an owner for fields without one. The API server
// does that, as before-first-apply, at the first apply to an object without managed
// fields. This apply sets no fields, and so changes nothing else.
func (wr *Writer) nameOwners(ctx context.Context, k Known, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if len(live.GetManagedFields()) > 0 {
		return live, nil
	}
	gvk := k.Object.GVK()
	data, err := json.Marshal(map[string]any{
		"apiVersion": gvk.GroupVersion().String(), "kind": gvk.Kind,
		"metadata": map[string]any{"name": k.Ref.Name, "uid": live.GetUID(), "resourceVersion": live.GetResourceVersion()},
	})
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return wr.patchData(ctx, k, data)
}

// conform makes the live object match the rendering, without what users added. If the
// API server does not release fields that they set, which may be immutable, those stay
// theirs: the managed fields are restored to before.
func (wr *Writer) conform(ctx context.Context, k Known, live *unstructured.Unstructured, before []metav1.ManagedFieldsEntry) (*unstructured.Unstructured, error) {
	entries, moved, err := wr.Reader.People.Transfer(live.GetManagedFields(), k.Object.GVK().GroupVersion().String(), k.Unstructured().Object)
	if err != nil {
		return nil, err
	}
	if !moved && !ownership.IsOurs(live.GetManagedFields()) {
		return wr.patch(ctx, k, live.GetUID(), live.GetResourceVersion())
	}
	if moved {
		if live, err = wr.setManagedFields(ctx, k, live.GetResourceVersion(), entries); err != nil {
			return nil, err
		}
	}
	return wr.patchOwning(ctx, k, live, before)
}

// transfer returns managed fields in which fields of other managers have become ours,
// and whether there are any.
type transfer func(entries []metav1.ManagedFieldsEntry, apiVersion string) ([]metav1.ManagedFieldsEntry, bool, error)

// restate repeats an apply that was refused because it left list items that users
// derived from ours. It returns refused if that is not the reason: then fields of users
// must not become ours, not even for the duration of an apply. A non-nil also names
// further fields that become ours.
func (wr *Writer) restate(ctx context.Context, k Known, refused error, also transfer) (*unstructured.Unstructured, error) {
	class := refusal.New("apply", k.Ref, "", refused).Class
	if class != refusal.ClassInvalid && class != refusal.ClassPortTaken || !strings.Contains(strings.ToLower(refused.Error()), "duplicate") {
		return nil, refused
	}
	live, err := wr.Get(ctx, k.Resource, k.Ref)
	if err != nil || k.Live != "" && live.GetUID() != k.Live {
		return nil, refused
	}
	apiVersion := k.Object.GVK().GroupVersion().String()
	entries, moved, err := wr.Reader.People.TransferItems(live.GetManagedFields(), apiVersion, k.Unstructured().Object)
	if err == nil && moved && also != nil {
		entries, _, err = also(entries, apiVersion)
	}
	if err != nil || !moved {
		return nil, refused
	}
	before := live.GetManagedFields()
	if live, err = wr.setManagedFields(ctx, k, live.GetResourceVersion(), entries); err != nil {
		return nil, err
	}
	return wr.patchOwning(ctx, k, live, before)
}

// patchOwning applies the object after a transfer of managed fields, so that fields
// outside the rendering are removed. If the API server or a policy refuses that, the
// managed fields become what they were: the object's creator may need them until the
// apply is allowed.
func (wr *Writer) patchOwning(ctx context.Context, k Known, transferred *unstructured.Unstructured, before []metav1.ManagedFieldsEntry) (*unstructured.Unstructured, error) {
	answer, err := wr.patch(ctx, k, transferred.GetUID(), transferred.GetResourceVersion())
	if !isRefusal(err) || isAnother(err) {
		return answer, err
	}
	returned, undoErr := wr.setManagedFields(ctx, k, transferred.GetResourceVersion(), before)
	if undoErr != nil {
		return nil, err
	}
	if answer, patchErr := wr.patch(ctx, k, returned.GetUID(), returned.GetResourceVersion()); patchErr == nil {
		return answer, nil
	}
	return nil, err
}

// isRefusal reports whether a request was refused for its content, and was not carried
// out.
func isRefusal(err error) bool {
	s, ok := refusal.StatusOf(err)
	return ok && s.Code >= http.StatusBadRequest && s.Code < http.StatusInternalServerError &&
		!apierrors.IsTooManyRequests(err) && !apierrors.IsUnauthorized(err)
}

// setManagedFields writes only the managed fields, and only to this state of an object.
func (wr *Writer) setManagedFields(ctx context.Context, k Known, version string, entries []metav1.ManagedFieldsEntry) (*unstructured.Unstructured, error) {
	if len(entries) == 0 {
		entries = []metav1.ManagedFieldsEntry{{}} // how the API expresses an empty list
	}
	data, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": entries},
		// Replaced and not tested: a stale version is then a conflict, not an invalid
		// request.
		{"op": "replace", "path": "/metadata/resourceVersion", "value": version},
	})
	if err != nil {
		return nil, fmt.Errorf("encode managed fields: %w", err)
	}
	return request.Write(ctx, wr.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return wr.Dynamic.Resource(k.Resource).Namespace(k.Ref.Namespace).Patch(ctx, k.Ref.Name, types.JSONPatchType, data,
			metav1.PatchOptions{FieldManager: ownership.FieldManager})
	})
}
