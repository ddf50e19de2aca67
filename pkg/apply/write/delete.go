package write

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/federation"
)

// errEnough reports that an object changes faster than it can be read.
var errEnough = errors.New("it keeps changing while it is read")

// Deletion identifies the object to delete, in the state in which it was judged.
type Deletion struct {
	Ref      federation.ObjectRef
	Resource schema.GroupVersionResource
	UID      types.UID
	Version  string
	PartOf   string
	Sets     []string // the part-of labels of our apps
}

// Delete requests the deletion of the object as long as it is ours, and returns the
// live object afterwards.
func (wr *Writer) Delete(ctx context.Context, d Deletion) (live *object.Live, asked bool, err error) {
	if err := wr.mayDelete(ctx, d); err != nil {
		return nil, false, err
	}
	for range putTries {
		_, err = request.Write(ctx, wr.Client, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, wr.Dynamic.Resource(d.Resource).Namespace(d.Ref.Namespace).Delete(ctx, d.Ref.Name, request.Preconditions(d.UID, d.Version))
		})
		if err != nil && !apierrors.IsConflict(err) {
			return nil, false, err
		}
		asked = err == nil
		// Only a read shows whether it is gone or has changed.
		u, err := wr.Get(ctx, d.Resource, d.Ref)
		if err != nil {
			return nil, asked, err
		}
		v := wr.Reader.Live(u)
		if asked || v.UID != d.UID || v.Terminating || !v.Owned || v.Controlled || v.PartOf != d.PartOf {
			return &v, asked, nil
		}
		d.Version = v.Version
	}
	return nil, false, fmt.Errorf("%w: %w", errEnough, err)
}

// mayDelete refuses to delete a definition while there are objects of its kind that are
// not ours: they would be deleted with it.
func (wr *Writer) mayDelete(ctx context.Context, d Deletion) error {
	if d.Ref.GroupKind() != object.DefinitionKind {
		return nil
	}
	definition, err := wr.Get(ctx, d.Resource, d.Ref)
	if err != nil {
		return err
	}
	gvr, ok := servedResource(definition)
	if !ok {
		return nil // no version is served, so no objects are visible
	}
	const most = 500
	page, err := request.Do(ctx, wr.Client, func(ctx context.Context) (bounds.Page, error) {
		o := metav1.ListOptions{LabelSelector: inventory.LabelPartOf + " notin (" + strings.Join(d.Sets, ",") + ")", Limit: most}
		return bounds.List(ctx, wr.Dynamic.Resource(gvr), o, func(*unstructured.Unstructured) error { return nil })
	})
	switch {
	case apierrors.IsNotFound(err):
		return nil // not served: it was never established, or is being deleted
	case err != nil:
		return err
	case page.Objects > 0:
		return heldDefinition(d.Ref, page.Objects, page.Continue != "")
	}
	return nil
}

// heldDefinition returns why a definition is not deleted.
func heldDefinition(ref federation.ObjectRef, n int, more bool) *refusal.Error {
	count := strconv.Itoa(n)
	if more {
		count = "more than " + count
	}
	return &refusal.Error{
		Verb: "prune", Object: ref, Class: refusal.ClassHeld,
		Err:    fmt.Errorf("it left Git but is not deleted: that would also delete %s objects of its kind that fedsync does not manage", count),
		Remedy: "delete those objects, or add the definition to Git again",
	}
}

// servedResource returns the resource of a definition's kind, in a version that is
// served.
func servedResource(u *unstructured.Unstructured) (schema.GroupVersionResource, bool) {
	group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(u.Object, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
	for _, v := range versions {
		m, _ := v.(map[string]any)
		name, _ := m["name"].(string)
		if served, _ := m["served"].(bool); served && name != "" {
			return schema.GroupVersionResource{Group: group, Version: name, Resource: plural}, true
		}
	}
	return schema.GroupVersionResource{}, false
}
