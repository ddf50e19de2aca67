package objectstore

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// manager returns the field manager that merges applied objects and writes managedFields,
// for the kind itself or one of its subresources.
func (k *kind) manager(subresource string) *managedfields.FieldManager {
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.managers[subresource]; m != nil {
		return m
	}
	m, err := k.newManager(subresource)
	if err != nil {
		panic(fmt.Sprintf("objectstore: field manager of %s: %v", k.gvk, err))
	}
	if k.managers == nil {
		k.managers = map[string]*managedfields.FieldManager{}
	}
	k.managers[subresource] = m
	return m
}

func (k *kind) newManager(subresource string) (*managedfields.FieldManager, error) {
	gv := k.gvk.GroupVersion()
	reset := map[fieldpath.APIVersion]fieldpath.Filter{}
	var exclude *fieldpath.Set
	switch {
	case subresource == "status":
		// Fields that a write to the status cannot set: the strategies of the API server
		// reset them, and no manager comes to own them.
		exclude = fieldpath.NewSet(fieldpath.MakePathOrDie("spec"))
		switch {
		case !k.typed:
			exclude.Insert(fieldpath.MakePathOrDie("metadata"))
		case k.gvk.Kind == "Deployment":
			exclude.Insert(fieldpath.MakePathOrDie("metadata", "labels"))
		}
	case k.status:
		exclude = fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
	}
	if exclude != nil {
		reset[fieldpath.APIVersion(gv.String())] = fieldpath.NewExcludeSetFilter(exclude)
	}
	if k.typed {
		return managedfields.NewDefaultFieldManager(k.converter, scheme.Scheme, k, k, k.gvk, gv, subresource, reset)
	}
	return managedfields.NewDefaultCRDFieldManager(k.converter, versions{}, k, k, k.gvk, gv, subresource, reset)
}

// New implements runtime.ObjectCreater.
func (k *kind) New(schema.GroupVersionKind) (runtime.Object, error) { return k.empty(), nil }

// Default implements runtime.ObjectDefaulter.
func (k *kind) Default(o runtime.Object) {
	if k.defaults != nil {
		k.defaults(o)
	}
}

// versions converts custom objects as a definition without a conversion webhook does:
// only the apiVersion changes.
type versions struct{}

// Convert implements runtime.ObjectConvertor. Field managers convert whole objects, by
// ConvertToVersion, and never call it.
func (versions) Convert(in, out, _ any) error {
	return fmt.Errorf("convert a %T into a %T: custom objects have one Go type", in, out)
}

// ConvertToVersion implements runtime.ObjectConvertor.
func (versions) ConvertToVersion(in runtime.Object, to runtime.GroupVersioner) (runtime.Object, error) {
	gvk, ok := to.KindForGroupVersionKinds([]schema.GroupVersionKind{in.GetObjectKind().GroupVersionKind()})
	if !ok {
		return nil, fmt.Errorf("convert %s: no version fits", in.GetObjectKind().GroupVersionKind())
	}
	out := in.DeepCopyObject()
	out.GetObjectKind().SetGroupVersionKind(gvk)
	return out, nil
}

// ConvertFieldLabel implements runtime.ObjectConvertor.
func (versions) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

// inVersion returns a custom object in a version of its definition.
func inVersion(o runtime.Object, gvk schema.GroupVersionKind) runtime.Object {
	u, ok := o.(*unstructured.Unstructured)
	if !ok || u.GroupVersionKind() == gvk {
		return o
	}
	out := u.DeepCopy()
	out.SetGroupVersionKind(gvk)
	return out
}
