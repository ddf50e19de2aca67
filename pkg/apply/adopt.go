package apply

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/federation"
)

// adopt takes over an object that existed before and makes it conform. A forced
// apply alone would leave what other clients added, so what users own under spec
// and the labels goes to us first. The object as it was is kept, and every write
// carries the resourceVersion: what is kept is what was overwritten.
func (p *pass) adopt(ctx context.Context, d *desired, mapping *meta.RESTMapping, live *unstructured.Unstructured) (outcome, error) {
	out := outcome{verb: "adopt", action: federation.ActionAdopted}
	if d.adoption == federation.AdoptNever {
		return out, alreadyExists(d)
	}
	secret, err := p.keep(ctx, d.ref, live)
	if err != nil {
		return out, fmt.Errorf("keep the object as it is: %w", err)
	}
	answer, err := p.conform(ctx, d, mapping, live)
	if err != nil {
		return out, err
	}
	// What nobody owned is known as before-first-apply only after the apply.
	if _, others, err := transfer(answer.GetManagedFields(), answer.GetAPIVersion()); err == nil && others {
		if answer, err = p.conform(ctx, d, mapping, answer); err != nil {
			return out, err
		}
	}
	out.answer, err = p.tidy(ctx, d, mapping, answer)
	out.note = &federation.Finding{
		ID: "adopted", Severity: federation.SeverityNote, Cluster: p.Cluster, App: d.app, Object: d.object.Ref, File: d.object.File,
		Message: fmt.Sprintf("it existed and was taken over; as it was it is kept for %d days in Secret %s/%s", int(keptFor.Hours()/24), Namespace, secret),
		Remedy:  fmt.Sprintf("to put it back: fedsync restore %s %s", p.Cluster, d.ref),
	}
	return out, err
}

// conform makes the live object what the rendering says, and nothing besides of
// what users added. Where the API server does not let go of what they set (it may
// be immutable), that is left to them.
func (p *pass) conform(ctx context.Context, d *desired, mapping *meta.RESTMapping, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	before := live.GetManagedFields()
	entries, moved, err := transfer(before, d.object.GVK().GroupVersion().String())
	if err != nil {
		return nil, err
	}
	if !moved {
		return p.patch(ctx, d, mapping, live.GetUID(), live.GetResourceVersion())
	}
	transferred, err := p.setManagedFields(ctx, d, mapping, live.GetResourceVersion(), entries)
	if err != nil {
		return nil, err
	}
	answer, err := p.patch(ctx, d, mapping, live.GetUID(), transferred.GetResourceVersion())
	if !apierrors.IsInvalid(err) || isAnother(err) {
		return answer, err
	}
	returned, undoErr := p.setManagedFields(ctx, d, mapping, transferred.GetResourceVersion(), before)
	if undoErr != nil {
		return nil, err
	}
	if answer, patchErr := p.patch(ctx, d, mapping, live.GetUID(), returned.GetResourceVersion()); patchErr == nil {
		return answer, nil
	}
	return nil, err
}

// setManagedFields writes the managed fields, and nothing else, of just this
// state of an object.
func (p *pass) setManagedFields(ctx context.Context, d *desired, mapping *meta.RESTMapping, version string, entries []metav1.ManagedFieldsEntry) (*unstructured.Unstructured, error) {
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
	return write(ctx, p.Applier, func(ctx context.Context) (*unstructured.Unstructured, error) {
		return p.Client.Resource(mapping.Resource).Namespace(d.ref.Namespace).Patch(ctx, d.ref.Name, types.JSONPatchType, data,
			metav1.PatchOptions{FieldManager: FieldManager})
	})
}
