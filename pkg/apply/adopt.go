package apply

import (
	"context"
	"encoding/json"
	"fmt"
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
// apply alone would leave what other clients added, so what users own under spec
// and the labels goes to us first. The object as it was is kept, and every write
// carries the resourceVersion: what is kept is what was overwritten.
func (a *Applier) adopt(ctx context.Context, k known, live *unstructured.Unstructured) (outcome, error) {
	out := outcome{verb: "adopt", action: federation.ActionAdopted}
	if k.adoption == federation.AdoptNever {
		return out, alreadyExists(k.desired)
	}
	kept, err := a.keep(ctx, k.ref, live)
	if err != nil {
		return out, fmt.Errorf("keep the object as it is: %w", err)
	}
	answer, err := a.conform(ctx, k, live)
	if err != nil {
		return out, err
	}
	// What nobody owned is known as before-first-apply only after the apply.
	if _, others, err := ownership.Transfer(answer.GetManagedFields(), answer.GetAPIVersion()); err == nil && others {
		if answer, err = a.conform(ctx, k, answer); err != nil {
			return out, err
		}
	}
	out.answer, err = a.tidy(ctx, k, answer)
	out.note = &federation.Finding{
		ID: "adopted", Severity: federation.SeverityNote, Cluster: a.Cluster, App: k.app, Object: k.object.Ref, File: k.object.File,
		Message: untrusted.Textf("it existed and was taken over; as it was it is kept for %d days in Secret %s/%s", int(keptFor.Hours()/24), Namespace, kept.Secret),
		Remedy:  untrusted.Textf("to put it back: fedsync restore %s %s", a.Cluster, k.ref),
	}
	return out, err
}

// conform makes the live object what the rendering says, and nothing besides of
// what users added. Where the API server does not let go of what they set (it may
// be immutable), that is left to them.
func (a *Applier) conform(ctx context.Context, k known, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	entries, moved, err := ownership.Transfer(live.GetManagedFields(), k.object.GVK().GroupVersion().String())
	if err != nil {
		return nil, err
	}
	if !moved {
		return a.patch(ctx, k, live.GetUID(), live.GetResourceVersion())
	}
	return a.patchOwning(ctx, k, live, entries)
}

// restate puts back what an apply could not, since it left beside ours what users made of
// our items of lists. It returns refused where that is not the reason: then what users own
// is not to become ours, not even for as long as an apply takes.
func (a *Applier) restate(ctx context.Context, k known, refused error) (*unstructured.Unstructured, error) {
	class := newError("apply", k.ref, "", refused).Class
	if class != ClassInvalid && class != ClassPortTaken || !strings.Contains(strings.ToLower(refused.Error()), "duplicate") {
		return nil, refused
	}
	live, err := a.get(ctx, k.resource, k.ref)
	if err != nil || k.live != "" && live.GetUID() != k.live {
		return nil, refused
	}
	entries, moved, err := ownership.TransferItems(live.GetManagedFields(), k.object.GVK().GroupVersion().String(), k.unstructured().Object)
	if err != nil || !moved {
		return nil, refused
	}
	return a.patchOwning(ctx, k, live, entries)
}

// patchOwning applies the object once the managed fields are such that what it does not
// have goes. Where the API server refuses that, they are as before.
func (a *Applier) patchOwning(ctx context.Context, k known, live *unstructured.Unstructured, entries []metav1.ManagedFieldsEntry) (*unstructured.Unstructured, error) {
	before := live.GetManagedFields()
	transferred, err := a.setManagedFields(ctx, k, live.GetResourceVersion(), entries)
	if err != nil {
		return nil, err
	}
	answer, err := a.patch(ctx, k, live.GetUID(), transferred.GetResourceVersion())
	if !apierrors.IsInvalid(err) || isAnother(err) {
		return answer, err
	}
	returned, undoErr := a.setManagedFields(ctx, k, transferred.GetResourceVersion(), before)
	if undoErr != nil {
		return nil, err
	}
	if answer, patchErr := a.patch(ctx, k, live.GetUID(), returned.GetResourceVersion()); patchErr == nil {
		return answer, nil
	}
	return nil, err
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
