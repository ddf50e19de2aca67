package objectstore

import (
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var mustHaveVersion = field.ErrorList{field.Invalid(field.NewPath("metadata", "resourceVersion"), 0, "must be specified for an update")}

// part returns a settable top-level part of an object: a field of a typed object, or the
// zero Value for a custom one.
func part(o runtime.Object, name string) reflect.Value {
	v := reflect.ValueOf(o).Elem()
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return v.FieldByName(name)
}

// copyPart copies a part of an object to another one.
func copyPart(to, from runtime.Object, typed, custom string) {
	if u, ok := to.(*unstructured.Unstructured); ok {
		old, found := from.(*unstructured.Unstructured).Object[custom]
		if found {
			u.Object[custom] = runtime.DeepCopyJSONValue(old)
		} else {
			delete(u.Object, custom)
		}
		return
	}
	if v := part(to, typed); v.IsValid() {
		v.Set(part(from.DeepCopyObject(), typed))
	}
}

// sameSpec reports whether two objects have equal content, as counted for the generation.
func sameSpec(a, b runtime.Object) bool {
	ua, ok := a.(*unstructured.Unstructured)
	if !ok {
		x, y := part(a, "Spec"), part(b, "Spec")
		if !x.IsValid() {
			return true
		}
		return equality.Semantic.DeepEqual(x.Interface(), y.Interface())
	}
	ub := b.(*unstructured.Unstructured)
	return equality.Semantic.DeepEqual(content(ua), content(ub))
}

// content returns a custom object without the fields that do not count for its
// generation.
func content(u *unstructured.Unstructured) map[string]any {
	out := map[string]any{}
	for name, v := range u.Object {
		switch name {
		case "metadata", "status", "apiVersion", "kind":
		default:
			out[name] = v
		}
	}
	return out
}

// prepareCreate does the work of the API server's strategies for a new object.
func (s *Store) prepareCreate(k *kind, o runtime.Object, m metav1.Object) error {
	m.SetGeneration(0)
	if k.generation {
		m.SetGeneration(1)
	}
	if k.status {
		switch x := o.(type) {
		case *corev1.Namespace:
			x.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
			x.Spec.Finalizers = []corev1.FinalizerName{corev1.FinalizerKubernetes}
		case *corev1.Pod:
			x.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBestEffort}
		case *corev1.PersistentVolumeClaim:
			x.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
		case *corev1.Service:
			x.Status = corev1.ServiceStatus{}
			return s.allocate(x, nil)
		default:
			copyPart(o, k.empty(), "Status", "status")
		}
	}
	switch x := o.(type) {
	case *batchv1.Job:
		prepareJob(x)
	case *unstructured.Unstructured:
		if k.gvk == definitionKind {
			return prepareDefinition(x)
		}
	}
	return nil
}

// prepareJob sets the selector of a Job that has none.
func prepareJob(j *batchv1.Job) {
	if j.Spec.ManualSelector != nil && *j.Spec.ManualSelector {
		return
	}
	own := map[string]string{batchv1.ControllerUidLabel: string(j.UID)}
	j.Spec.Selector = &metav1.LabelSelector{MatchLabels: own}
	all := map[string]string{
		batchv1.ControllerUidLabel: string(j.UID), batchv1.JobNameLabel: j.Name, "controller-uid": string(j.UID), "job-name": j.Name,
	}
	for name, value := range j.Spec.Template.Labels {
		if all[name] == "" {
			all[name] = value
		}
	}
	j.Spec.Template.Labels = all
}

// prepareUpdate does the work of the API server's strategies for a changed object.
func (s *Store) prepareUpdate(w writing, o runtime.Object, m metav1.Object, live *entry) error {
	if w.subresource == "status" {
		copyPart(o, live.object, "Spec", "spec")
		switch {
		case !w.kind.typed:
			managed, version := m.GetManagedFields(), m.GetResourceVersion()
			copyPart(o, live.object, "", "metadata")
			m.SetManagedFields(managed)
			m.SetResourceVersion(version)
		case w.kind.gvk.Kind == "Deployment":
			m.SetLabels(live.meta.GetLabels())
		}
		return nil
	}
	if w.kind.status {
		copyPart(o, live.object, "Status", "status")
	}
	switch x := o.(type) {
	case *corev1.Namespace:
		x.Spec.Finalizers = live.object.(*corev1.Namespace).Spec.Finalizers
	case *corev1.Service:
		if err := s.allocate(x, live.object.(*corev1.Service)); err != nil {
			return err
		}
	}
	// The start of a deletion also counts as a change, but was counted then.
	if w.kind.generation && !sameSpec(o, live.object) {
		m.SetGeneration(live.meta.GetGeneration() + 1)
	}
	return nil
}

// validate refuses what tests need refused as invalid: bad metadata, changes of immutable
// fields, and likely typing errors.
func (s *Store) validate(k *kind, o, old runtime.Object) error {
	m := o.(metav1.Object)
	errs := apivalidation.ValidateObjectMetaAccessor(m, k.namespaced, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if old != nil {
		errs = append(errs, apivalidation.ValidateObjectMetaAccessorUpdate(m, old.(metav1.Object), field.NewPath("metadata"))...)
	}
	switch x := o.(type) {
	case *corev1.ConfigMap:
		if old != nil {
			errs = append(errs, validateImmutableConfig(x, old.(*corev1.ConfigMap))...)
		}
	case *corev1.Secret:
		if old != nil {
			before := old.(*corev1.Secret)
			errs = append(errs, apivalidation.ValidateImmutableField(x.Type, before.Type, field.NewPath("type"))...)
			if before.Immutable != nil && *before.Immutable && !equality.Semantic.DeepEqual(x.Data, before.Data) {
				errs = append(errs, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
			}
		}
	case *corev1.Service:
		errs = append(errs, validateService(x)...)
		if old != nil {
			errs = append(errs, validateServiceUpdate(x, old.(*corev1.Service))...)
		}
	case *appsv1.Deployment:
		var before *metav1.LabelSelector
		if old != nil {
			before = old.(*appsv1.Deployment).Spec.Selector
		}
		errs = append(errs, validateWorkload(x.Spec.Selector, before, x.Spec.Template.Labels, x.Spec.Replicas)...)
	case *appsv1.ReplicaSet:
		var before *metav1.LabelSelector
		if old != nil {
			before = old.(*appsv1.ReplicaSet).Spec.Selector
		}
		errs = append(errs, validateWorkload(x.Spec.Selector, before, x.Spec.Template.Labels, x.Spec.Replicas)...)
	case *batchv1.Job:
		if old != nil {
			errs = append(errs, apivalidation.ValidateImmutableField(x.Spec.Template, old.(*batchv1.Job).Spec.Template, field.NewPath("spec", "template"))...)
		}
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(k.gvk.GroupKind(), m.GetName(), errs)
	}
	return nil
}

func validateImmutableConfig(o, old *corev1.ConfigMap) field.ErrorList {
	if old.Immutable == nil || !*old.Immutable {
		return nil
	}
	var errs field.ErrorList
	if o.Immutable == nil || !*o.Immutable {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), "field is immutable when `immutable` is set"))
	}
	if !equality.Semantic.DeepEqual(o.Data, old.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
	}
	if !equality.Semantic.DeepEqual(o.BinaryData, old.BinaryData) {
		errs = append(errs, field.Forbidden(field.NewPath("binaryData"), "field is immutable when `immutable` is set"))
	}
	return errs
}

func validateWorkload(selector, before *metav1.LabelSelector, template map[string]string, replicas *int32) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	if replicas != nil && *replicas < 0 {
		errs = append(errs, field.Invalid(path.Child("replicas"), int64(*replicas), "must be greater than or equal to 0"))
	}
	if selector == nil {
		return append(errs, field.Required(path.Child("selector"), ""))
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	switch {
	case err != nil:
		errs = append(errs, field.Invalid(path.Child("selector"), selector, "invalid label selector"))
	case !parsed.Matches(labels.Set(template)):
		errs = append(errs, field.Invalid(path.Child("template", "metadata", "labels"), template, "`selector` does not match template `labels`"))
	}
	if before != nil {
		errs = append(errs, apivalidation.ValidateImmutableField(selector, before, path.Child("selector"))...)
	}
	return errs
}

func validateService(o *corev1.Service) field.ErrorList {
	path := field.NewPath("spec")
	var errs field.ErrorList
	ports := path.Child("ports")
	if len(o.Spec.Ports) == 0 && o.Spec.ClusterIP != corev1.ClusterIPNone && o.Spec.Type != corev1.ServiceTypeExternalName {
		errs = append(errs, field.Required(ports, ""))
	}
	names := map[string]bool{}
	for i, p := range o.Spec.Ports {
		at := ports.Index(i)
		switch {
		case p.Name == "" && len(o.Spec.Ports) > 1:
			errs = append(errs, field.Required(at.Child("name"), ""))
		case p.Name != "" && names[p.Name]:
			errs = append(errs, field.Duplicate(at.Child("name"), p.Name))
		}
		names[p.Name] = true
		for _, msg := range validation.IsValidPortNum(int(p.Port)) {
			errs = append(errs, field.Invalid(at.Child("port"), p.Port, msg))
		}
		if p.NodePort != 0 && o.Spec.Type == corev1.ServiceTypeClusterIP {
			errs = append(errs, field.Forbidden(at.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
		}
	}
	type key struct {
		protocol corev1.Protocol
		port     int32
	}
	seen, nodePorts := map[key]bool{}, map[key]bool{}
	for i, p := range o.Spec.Ports {
		if k := (key{p.Protocol, p.NodePort}); p.NodePort != 0 {
			if nodePorts[k] {
				errs = append(errs, field.Duplicate(ports.Index(i).Child("nodePort"), p.NodePort))
			}
			nodePorts[k] = true
		}
	}
	for i, p := range o.Spec.Ports {
		k := key{p.Protocol, p.Port}
		if seen[k] {
			errs = append(errs, field.Duplicate(ports.Index(i), internalPort{Protocol: p.Protocol, Port: p.Port}))
		}
		seen[k] = true
	}
	return errs
}

// internalPort is a port as the API server prints it: with the field names of its
// internal type.
type internalPort struct {
	Name        string
	Protocol    corev1.Protocol
	AppProtocol *string
	Port        int32
	TargetPort  int32
	NodePort    int32
}

func validateServiceUpdate(o, old *corev1.Service) field.ErrorList {
	if needsClusterIP(o) && needsClusterIP(old) && old.Spec.ClusterIP != "" && o.Spec.ClusterIP != old.Spec.ClusterIP {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "clusterIPs").Index(0), o.Spec.ClusterIPs, "may not change once set")}
	}
	return nil
}

// mayGo reports whether an object whose deletion nothing holds is removed at once. A
// namespace waits for its content.
func (s *Store) mayGo(o runtime.Object) bool {
	n, ok := o.(*corev1.Namespace)
	return !ok || len(n.Spec.Finalizers) == 0
}

func invalid(k string, name string, err *field.Error) error {
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind(k).GroupKind(), name, field.ErrorList{err})
}

var errPortTaken = fmt.Errorf("provided port is already allocated")
