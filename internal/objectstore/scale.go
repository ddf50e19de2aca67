package objectstore

import (
	"encoding/json"
	"fmt"
	"net/http"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

var replicasPath = fieldpath.MakePathOrDie("spec", "replicas")

// newScaleKind returns the kind of scale subresources.
func newScaleKind() *kind {
	gv := autoscalingv1.SchemeGroupVersion
	return &kind{
		gvk: gv.WithKind("Scale"), resource: "scale", namespaced: true, storage: gv,
		typed: true, converter: managedfields.NewDeducedTypeConverter(),
	}
}

// replicasOf returns the wanted and the actual number of a workload's replicas, and its
// selector.
func replicasOf(o runtime.Object) (wish **int32, has int32, selector *metav1.LabelSelector) {
	switch x := o.(type) {
	case *appsv1.Deployment:
		return &x.Spec.Replicas, x.Status.Replicas, x.Spec.Selector
	case *appsv1.ReplicaSet:
		return &x.Spec.Replicas, x.Status.Replicas, x.Spec.Selector
	case *appsv1.StatefulSet:
		return &x.Spec.Replicas, x.Status.Replicas, x.Spec.Selector
	}
	return nil, 0, nil
}

// scaleOf returns the scale of a workload.
func scaleOf(o runtime.Object) (*autoscalingv1.Scale, error) {
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	wish, has, selector := replicasOf(o)
	if wish == nil {
		return nil, fmt.Errorf("%T has no scale", o)
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, err
	}
	out := &autoscalingv1.Scale{
		TypeMeta: metav1.TypeMeta{APIVersion: "autoscaling/v1", Kind: "Scale"},
		ObjectMeta: metav1.ObjectMeta{
			Name: m.GetName(), Namespace: m.GetNamespace(), UID: m.GetUID(),
			ResourceVersion: m.GetResourceVersion(), CreationTimestamp: m.GetCreationTimestamp(),
		},
		Status: autoscalingv1.ScaleStatus{Replicas: has, Selector: parsed.String()},
	}
	if *wish != nil {
		out.Spec.Replicas = **wish
	}
	return out, nil
}

// writeScale changes the replicas of a workload through its scale.
func (s *Store) writeScale(r *Request, k *kind) (int, []byte, error) {
	w := writing{kind: k, name: r.object(), subresource: "scale", manager: r.Manager, request: r}
	e, err := s.write(w, func(live runtime.Object) (runtime.Object, error) {
		out := live.DeepCopyObject()
		m, err := meta.Accessor(out)
		if err != nil {
			return nil, err
		}
		entries := managedfields.NewScaleHandler(m.GetManagedFields(), k.gvk.GroupVersion(),
			managedfields.ResourcePathMappings{k.gvk.GroupVersion().String(): replicasPath})
		before, err := scaleOf(live)
		if err != nil {
			return nil, err
		}
		if before.ManagedFields, err = entries.ToSubresource(); err != nil {
			return nil, err
		}
		scale, err := newScale(before, r)
		if err != nil {
			return nil, err
		}
		if scale.UID != "" && scale.UID != before.UID {
			return nil, apierrors.NewConflict(k.groupResource(), r.Name,
				fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", scale.UID, before.UID)) //nolint:staticcheck // as the API server writes it
		}
		wish, _, _ := replicasOf(out)
		*wish = &scale.Spec.Replicas
		m.SetResourceVersion(scale.ResourceVersion)
		merged, err := entries.ToParent(scale.ManagedFields)
		if err != nil {
			return nil, err
		}
		m.SetManagedFields(merged)
		return out, nil
	})
	if err != nil {
		return 0, nil, err
	}
	scale, err := scaleOf(e.object)
	if err != nil {
		return 0, nil, err
	}
	body, err := json.Marshal(scale)
	return http.StatusOK, body, err
}

// newScale returns the scale that a request wants.
func newScale(before *autoscalingv1.Scale, r *Request) (*autoscalingv1.Scale, error) {
	k := newScaleKind()
	manager := k.manager("scale")
	var o runtime.Object
	var err error
	switch {
	case r.Verb == "update":
		if o, err = k.decode(r.Body, r.strict()); err == nil {
			o = manager.UpdateNoErrors(before, o, r.Manager)
		}
	case r.HTTP.Header.Get("Content-Type") == "application/apply-patch+yaml":
		o, err = k.applied(before, r)
	default:
		if o, err = k.patched(before, r); err == nil {
			o = manager.UpdateNoErrors(before, o, r.Manager)
		}
	}
	if err != nil {
		return nil, err
	}
	scale, ok := o.(*autoscalingv1.Scale)
	if !ok {
		return nil, fmt.Errorf("the scale is a %T", o)
	}
	return scale, nil
}
