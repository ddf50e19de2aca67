package objectstore

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

func (s *Store) delete(r *Request, k *kind) (int, []byte, error) {
	options := &metav1.DeleteOptions{}
	if len(r.Body) > 0 {
		if err := json.Unmarshal(r.Body, options); err != nil {
			return 0, nil, apierrors.NewBadRequest(err.Error())
		}
	}
	if policy := r.query.Get("propagationPolicy"); policy != "" && options.PropagationPolicy == nil {
		options.PropagationPolicy = (*metav1.DeletionPropagation)(&policy)
	}
	w := writing{kind: k, name: r.object(), manager: r.Manager, request: r}
	var uid types.UID
	if e := s.find(k.groupResource(), w.name); e != nil {
		uid = e.meta.GetUID()
	}
	left, err := s.remove(w, options)
	if err != nil {
		return 0, nil, err
	}
	if left != nil {
		return http.StatusOK, left.at(k), nil
	}
	body, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{Name: r.Name, Group: k.gvk.Group, Kind: k.resource, UID: uid},
	})
	return http.StatusOK, body, err
}

func (s *Store) deleteCollection(r *Request, k *kind) (int, []byte, error) {
	selects, err := r.selection(k)
	if err != nil {
		return 0, nil, err
	}
	code, body, err := s.list(r, k)
	if err != nil {
		return 0, nil, err
	}
	for _, e := range s.all(k.groupResource()) {
		if !selects(e) {
			continue
		}
		w := writing{kind: k, name: nameOf(e.meta), manager: r.Manager, request: r}
		if _, err := s.remove(w, &metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return 0, nil, err
		}
	}
	return code, body, nil
}

// remove deletes an object, or starts to. It returns the object if it still exists.
func (s *Store) remove(w writing, options *metav1.DeleteOptions) (*entry, error) {
	gr := w.kind.groupResource()
	e := s.find(gr, w.name)
	if e == nil {
		return nil, apierrors.NewNotFound(gr, w.name.Name)
	}
	if err := checkPreconditions(w.kind, e, options.Preconditions); err != nil {
		return nil, err
	}
	if err := s.admit(w, OperationDelete, nil, e.meta); err != nil {
		return nil, err
	}
	finalizers := deletionFinalizers(e.meta.GetFinalizers(), options.PropagationPolicy)
	if n, ok := e.object.(*corev1.Namespace); ok && len(n.Spec.Finalizers) > 0 {
		return s.terminate(w.kind, e, finalizers)
	}
	if w.kind.gvk == definitionKind && e.meta.GetDeletionTimestamp() == nil && !slices.Contains(finalizers, cleanup) {
		finalizers = append(finalizers, cleanup)
	}
	if len(finalizers) == 0 {
		_, err := s.store(w.kind, w.name, nil)
		return nil, err
	}
	if e.meta.GetDeletionTimestamp() != nil && slices.Equal(finalizers, e.meta.GetFinalizers()) {
		return e, nil
	}
	return s.terminate(w.kind, e, finalizers)
}

// checkPreconditions refuses the deletion of another object, or of another version of it.
func checkPreconditions(k *kind, e *entry, p *metav1.Preconditions) error {
	if p == nil {
		return nil
	}
	if k.gvk == namespaceKind {
		if p.UID != nil && *p.UID != e.meta.GetUID() {
			return apierrors.NewConflict(k.groupResource(), e.meta.GetName(),
				fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", *p.UID, e.meta.GetUID())) //nolint:staticcheck // as the API server writes it
		}
		if p.ResourceVersion != nil && *p.ResourceVersion != e.meta.GetResourceVersion() {
			return apierrors.NewConflict(k.groupResource(), e.meta.GetName(),
				fmt.Errorf("Precondition failed: ResourceVersion in precondition: %v, ResourceVersion in object meta: %v", *p.ResourceVersion, e.meta.GetResourceVersion())) //nolint:staticcheck // as the API server writes it
		}
	}
	// Here the API server names the kind, not the resource.
	gr := schema.GroupResource{Group: k.gvk.Group, Resource: k.gvk.Kind}
	if p.UID != nil && *p.UID != e.meta.GetUID() {
		return apierrors.NewConflict(gr, e.meta.GetName(),
			fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *p.UID, e.meta.GetUID()))
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != e.meta.GetResourceVersion() {
		return apierrors.NewConflict(gr, e.meta.GetName(),
			fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", *p.ResourceVersion, e.meta.GetResourceVersion()))
	}
	return nil
}

// deletionFinalizers adds the garbage collector's finalizers.
func deletionFinalizers(had []string, policy *metav1.DeletionPropagation) []string {
	if policy == nil {
		return had
	}
	out := without(without(had, metav1.FinalizerOrphanDependents), metav1.FinalizerDeleteDependents)
	switch *policy {
	case metav1.DeletePropagationForeground:
		out = append(out, metav1.FinalizerDeleteDependents)
	case metav1.DeletePropagationOrphan:
		out = append(out, metav1.FinalizerOrphanDependents)
	case metav1.DeletePropagationBackground:
	}
	return out
}

// terminate marks an object as being deleted.
func (s *Store) terminate(k *kind, e *entry, finalizers []string) (*entry, error) {
	if e.meta.GetDeletionTimestamp() != nil && slices.Equal(finalizers, e.meta.GetFinalizers()) {
		return e, nil
	}
	o := e.object.DeepCopyObject()
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	m.SetFinalizers(finalizers)
	if m.GetDeletionTimestamp() == nil {
		now, none := metav1.NewTime(time.Now().Truncate(time.Second)), int64(0)
		m.SetDeletionTimestamp(&now)
		switch n, ok := o.(*corev1.Namespace); {
		case ok:
			n.Status.Phase = corev1.NamespaceTerminating
		case k.gvk == definitionKind:
			markTerminating(o)
		default:
			m.SetDeletionGracePeriodSeconds(&none)
			if m.GetGeneration() > 0 {
				m.SetGeneration(m.GetGeneration() + 1)
			}
		}
	}
	return s.store(k, nameOf(m), o)
}

// change makes a change as the control plane, with managed fields of that manager. The
// object may be gone by then.
func (s *Store) change(k *kind, e *entry, subresource, manager string, f func(runtime.Object)) error {
	w := writing{kind: k, name: nameOf(e.meta), subresource: subresource, manager: manager, trusted: true}
	if s.find(k.groupResource(), w.name) == nil {
		return nil
	}
	_, err := s.write(w, func(live runtime.Object) (runtime.Object, error) {
		out := live.DeepCopyObject()
		f(out)
		return k.manager(subresource).UpdateNoErrors(live, out, manager), nil
	})
	return err
}

// unfinalize removes a finalizer from an object.
func (s *Store) unfinalize(k *kind, e *entry, name string) error {
	return s.change(k, e, "", "kube-controller-manager", func(o runtime.Object) {
		if m, err := meta.Accessor(o); err == nil {
			m.SetFinalizers(without(m.GetFinalizers(), name))
		}
	})
}

// asUnstructured returns a custom object's content.
func asUnstructured(o runtime.Object) map[string]any {
	if u, ok := o.(*unstructured.Unstructured); ok {
		return u.Object
	}
	return nil
}
