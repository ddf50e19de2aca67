package write

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/fedsync/fedsync/pkg/apply/backup"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/request"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/apply/ownership"
	"github.com/fedsync/fedsync/pkg/federation"
)

// adopt takes over an object that existed before and makes it conform. A forced
// apply alone would leave what other clients added, so what users own under spec,
// labels and annotations goes to us first. The object as it was is kept, and every write
// carries the resourceVersion: what is kept is what was overwritten.
//
// These are several requests, between which the process may end. The label that makes
// the object ours comes with the last of them, the apply: an object with our entry and
// without our label is one whose adoption is under way, and is adopted again.
func (wr *Writer) adopt(ctx context.Context, k Known, live *unstructured.Unstructured) (Outcome, error) {
	out := Outcome{Verb: "adopt", Action: federation.ActionAdopted}
	if k.Adoption == federation.AdoptNever {
		return out, AlreadyExists(k.Desired)
	}
	kept, err := wr.Backups.Keep(ctx, k.Ref, live)
	if err != nil {
		return out, fmt.Errorf("keep the object as it is: %w", err)
	}
	out.Note = &federation.Finding{
		ID: federation.FindingAdopted, Severity: federation.SeverityNote, Cluster: wr.Cluster, App: k.App, Object: k.Object.Ref, File: k.Object.File,
		Message: untrusted.Textf("it existed and was taken over; as it was it is kept for %d days in Secret %s/%s", int(backup.Duration.Hours()/24), federation.SystemNamespace, kept.Secret),
		Remedy:  untrusted.Textf("to put it back: fedsync restore %s %s", wr.Cluster, k.Ref),
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

// nameOwners has the API server name an owner of what nobody owns, which it does, as
// before-first-apply, at the first apply to an object without managed fields. The apply
// states nothing, and so changes nothing else.
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

// conform makes the live object what the rendering says, and nothing besides of
// what users added. Where the API server does not let go of what they set (it may
// be immutable), that is left to them: the managed fields are as before then.
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

// transfer returns managed fields in which something of others has become ours, and whether
// that is so.
type transfer func(entries []metav1.ManagedFieldsEntry, apiVersion string) ([]metav1.ManagedFieldsEntry, bool, error)

// restate puts back what an apply could not, since it left beside ours what users made of
// our items of lists. It returns refused where that is not the reason: then what users own
// is not to become ours, not even for as long as an apply takes. What else is to become
// ours with it, besides says; nil for nothing.
func (wr *Writer) restate(ctx context.Context, k Known, refused error, besides transfer) (*unstructured.Unstructured, error) {
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
	if err == nil && moved && besides != nil {
		entries, _, err = besides(entries, apiVersion)
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

// patchOwning applies the object, whose managed fields are such that what the rendering
// does not have goes. Where that is refused, by the API server or by a policy, they become
// what they were before: who made the object may need them until it is let.
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

// isRefusal reports whether a request was refused for what it asks, and was not done.
func isRefusal(err error) bool {
	s, ok := refusal.StatusOf(err)
	return ok && s.Code >= http.StatusBadRequest && s.Code < http.StatusInternalServerError &&
		!apierrors.IsTooManyRequests(err) && !apierrors.IsUnauthorized(err)
}

// setManagedFields writes the managed fields, and nothing else, of just this
// state of an object.
func (wr *Writer) setManagedFields(ctx context.Context, k Known, version string, entries []metav1.ManagedFieldsEntry) (*unstructured.Unstructured, error) {
	if len(entries) == 0 {
		entries = []metav1.ManagedFieldsEntry{{}} // the API's way to say none
	}
	data, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": entries},
		// Replaced and not tested: a stale one is a conflict then, and not an
		// invalid request.
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
