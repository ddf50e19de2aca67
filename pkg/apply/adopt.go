package apply

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
func (a *Applier) adopt(ctx context.Context, k known, live *unstructured.Unstructured) (outcome, error) {
	out := outcome{verb: "adopt", action: federation.ActionAdopted}
	if k.adoption == federation.AdoptNever {
		return out, alreadyExists(k.desired)
	}
	kept, err := a.keep(ctx, k.ref, live)
	if err != nil {
		return out, fmt.Errorf("keep the object as it is: %w", err)
	}
	out.note = &federation.Finding{
		ID: federation.FindingAdopted, Severity: federation.SeverityNote, Cluster: a.Cluster, App: k.app, Object: k.object.Ref, File: k.object.File,
		Message: untrusted.Textf("it existed and was taken over; as it was it is kept for %d days in Secret %s/%s", int(keptFor.Hours()/24), Namespace, kept.Secret),
		Remedy:  untrusted.Textf("to put it back: fedsync restore %s %s", a.Cluster, k.ref),
	}
	if live, err = a.nameOwners(ctx, k, live); err != nil {
		return out, err
	}
	before, err := ownership.GiveBack(live.GetManagedFields(), kept.content.GetManagedFields())
	if err != nil {
		return out, err
	}
	answer, err := a.conform(ctx, k, live, before)
	if err != nil && !isAnother(err) {
		answer, err = a.restate(ctx, k, err, func(entries []metav1.ManagedFieldsEntry, apiVersion string) ([]metav1.ManagedFieldsEntry, bool, error) {
			return a.table.people.Transfer(entries, apiVersion, k.unstructured().Object)
		})
	}
	if err != nil {
		return out, err
	}
	out.answer, err = a.tidy(ctx, k, answer)
	return out, err
}

// nameOwners has the API server name an owner of what nobody owns, which it does, as
// before-first-apply, at the first apply to an object without managed fields. The apply
// states nothing, and so changes nothing else.
func (a *Applier) nameOwners(ctx context.Context, k known, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if len(live.GetManagedFields()) > 0 {
		return live, nil
	}
	gvk := k.object.GVK()
	data, err := json.Marshal(map[string]any{
		"apiVersion": gvk.GroupVersion().String(), "kind": gvk.Kind,
		"metadata": map[string]any{"name": k.ref.Name, "uid": live.GetUID(), "resourceVersion": live.GetResourceVersion()},
	})
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return a.patchData(ctx, k, data)
}

// conform makes the live object what the rendering says, and nothing besides of
// what users added. Where the API server does not let go of what they set (it may
// be immutable), that is left to them: the managed fields are as before then.
func (a *Applier) conform(ctx context.Context, k known, live *unstructured.Unstructured, before []metav1.ManagedFieldsEntry) (*unstructured.Unstructured, error) {
	entries, moved, err := a.table.people.Transfer(live.GetManagedFields(), k.object.GVK().GroupVersion().String(), k.unstructured().Object)
	if err != nil {
		return nil, err
	}
	if !moved && !ownership.IsOurs(live.GetManagedFields()) {
		return a.patch(ctx, k, live.GetUID(), live.GetResourceVersion())
	}
	if moved {
		if live, err = a.setManagedFields(ctx, k, live.GetResourceVersion(), entries); err != nil {
			return nil, err
		}
	}
	return a.patchOwning(ctx, k, live, before)
}

// transfer returns managed fields in which something of others has become ours, and whether
// that is so.
type transfer func(entries []metav1.ManagedFieldsEntry, apiVersion string) ([]metav1.ManagedFieldsEntry, bool, error)

// restate puts back what an apply could not, since it left beside ours what users made of
// our items of lists. It returns refused where that is not the reason: then what users own
// is not to become ours, not even for as long as an apply takes. What else is to become
// ours with it, besides says; nil for nothing.
func (a *Applier) restate(ctx context.Context, k known, refused error, besides transfer) (*unstructured.Unstructured, error) {
	class := newError("apply", k.ref, "", refused).Class
	if class != ClassInvalid && class != ClassPortTaken || !strings.Contains(strings.ToLower(refused.Error()), "duplicate") {
		return nil, refused
	}
	live, err := a.get(ctx, k.resource, k.ref)
	if err != nil || k.live != "" && live.GetUID() != k.live {
		return nil, refused
	}
	apiVersion := k.object.GVK().GroupVersion().String()
	entries, moved, err := a.table.people.TransferItems(live.GetManagedFields(), apiVersion, k.unstructured().Object)
	if err == nil && moved && besides != nil {
		entries, _, err = besides(entries, apiVersion)
	}
	if err != nil || !moved {
		return nil, refused
	}
	before := live.GetManagedFields()
	if live, err = a.setManagedFields(ctx, k, live.GetResourceVersion(), entries); err != nil {
		return nil, err
	}
	return a.patchOwning(ctx, k, live, before)
}

// patchOwning applies the object, whose managed fields are such that what the rendering
// does not have goes. Where that is refused, by the API server or by a policy, they become
// what they were before: who made the object may need them until it is let.
func (a *Applier) patchOwning(ctx context.Context, k known, transferred *unstructured.Unstructured, before []metav1.ManagedFieldsEntry) (*unstructured.Unstructured, error) {
	answer, err := a.patch(ctx, k, transferred.GetUID(), transferred.GetResourceVersion())
	if !isRefusal(err) || isAnother(err) {
		return answer, err
	}
	returned, undoErr := a.setManagedFields(ctx, k, transferred.GetResourceVersion(), before)
	if undoErr != nil {
		return nil, err
	}
	if answer, patchErr := a.patch(ctx, k, returned.GetUID(), returned.GetResourceVersion()); patchErr == nil {
		return answer, nil
	}
	return nil, err
}

// isRefusal reports whether a request was refused for what it asks, and was not done.
func isRefusal(err error) bool {
	s, ok := statusOf(err)
	return ok && s.Code >= http.StatusBadRequest && s.Code < http.StatusInternalServerError &&
		!apierrors.IsTooManyRequests(err) && !apierrors.IsUnauthorized(err)
}

// setManagedFields writes the managed fields, and nothing else, of just this
// state of an object.
func (a *Applier) setManagedFields(ctx context.Context, k known, version string, entries []metav1.ManagedFieldsEntry) (*unstructured.Unstructured, error) {
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
	return write(ctx, a, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return a.Client.Resource(k.resource).Namespace(k.ref.Namespace).Patch(ctx, k.ref.Name, types.JSONPatchType, data,
			metav1.PatchOptions{FieldManager: ownership.FieldManager})
	})
}
