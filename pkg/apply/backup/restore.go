package backup

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/pkg/apply/object"
	"github.com/fedsync/fedsync/pkg/apply/refusal"
	"github.com/fedsync/fedsync/pkg/apply/request"
	"github.com/fedsync/fedsync/pkg/federation"
)

// NotProvedError is the error for an object whose copies may not have been written by
// fedsync.
type NotProvedError struct {
	Copy Copy // the newest
}

// Error returns the reason.
func (e *NotProvedError) Error() string {
	why := "the inventory has no digest of it, so an earlier version of fedsync or another client created it"
	if e.Copy.State == Changed {
		why = "its digest differs from the one in the inventory, so it was changed"
	}
	return fmt.Sprintf("restore %s: cannot verify that fedsync created Secret %s/%s: %s", e.Copy.Object, federation.SystemNamespace, e.Copy.Secret, why)
}

// Restore puts an object back to what it was before it was last adopted, from a copy
// that is proved: a user who can create a Secret must not make fedsync write with its
// own permissions. With unproved, it also takes a copy that an earlier version kept
// without proof. A changed copy is never taken. A fedsync that still has the object in
// Git, and may adopt, adopts it again: remove it from Git or set adoption: Never first.
func (s *Store) Restore(ctx context.Context, ref federation.ObjectRef, unproved bool) (Copy, error) {
	all, err := s.List(ctx)
	if err != nil {
		return Copy{}, err
	}
	var kept, newest *Copy
	for i := range all {
		k := &all[i]
		if k.Object != ref {
			continue
		}
		newest = k
		if k.State == Proved || k.State == Unproved && unproved {
			kept = k
		}
	}
	switch {
	case newest == nil:
		return Copy{}, fmt.Errorf("restore %s: no copy found in %s", ref, federation.SystemNamespace)
	case kept == nil:
		return Copy{}, &NotProvedError{Copy: *newest}
	}
	return *kept, s.putBack(ctx, kept)
}

// putBack writes a kept object.
func (s *Store) putBack(ctx context.Context, kept *Copy) error {
	ref, gvk := kept.Object, kept.Content.GroupVersionKind()
	mapping, err := s.Client.Mapping(ctx, gvk.GroupKind(), gvk.Version)
	if err != nil {
		return fmt.Errorf("restore %s: %w", ref, err)
	}
	objects := s.Client.Dynamic.Resource(mapping.Resource).Namespace(ref.Namespace)
	for range tries {
		live, err := request.Do(ctx, s.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
			return objects.Get(ctx, ref.Name, metav1.GetOptions{})
		})
		content := kept.restored(live)
		switch {
		case apierrors.IsNotFound(err):
			_, err = request.Do(ctx, s.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return objects.Create(ctx, content, metav1.CreateOptions{FieldManager: "fedsync-restore"})
			})
		case err == nil:
			_, err = request.Do(ctx, s.Client, func(ctx context.Context) (*unstructured.Unstructured, error) {
				return objects.Update(ctx, content, metav1.UpdateOptions{FieldManager: "fedsync-restore"})
			})
		}
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return refusal.New("restore", ref, "", err)
		}
	}
	return refusal.New("restore", ref, "", errChanges)
}

// restored returns the object to send in order to restore the copy over the live
// object. The live object is nil if there is none.
func (k *Copy) restored(live *unstructured.Unstructured) *unstructured.Unstructured {
	u := k.Content.DeepCopy()
	for _, name := range []string{"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "resourceVersion", "selfLink", "uid"} {
		unstructured.RemoveNestedField(u.Object, "metadata", name)
	}
	if live == nil {
		if k.Object.GroupKind() == object.ServiceKind {
			unstructured.RemoveNestedField(u.Object, "spec", "clusterIP") // may be in use by another Service
			unstructured.RemoveNestedField(u.Object, "spec", "clusterIPs")
		}
		return u
	}
	u.SetResourceVersion(live.GetResourceVersion())
	u.SetUID(live.GetUID())
	if k.Object.GroupKind() == object.ServiceKind && live.GetUID() != k.Content.GetUID() {
		for _, name := range []string{"clusterIP", "clusterIPs"} { // of the new object, and immutable
			if v, ok, _ := unstructured.NestedFieldCopy(live.Object, "spec", name); ok {
				_ = unstructured.SetNestedField(u.Object, v, "spec", name)
			}
		}
	}
	return u
}
