package objectstore

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

var (
	definitionKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	definitions    = definitionKind.GroupVersion().WithResource("customresourcedefinitions")
)

// cleanup is the finalizer with which a definition waits for its objects.
const cleanup = "customresourcecleanup.apiextensions.k8s.io"

// definition holds the kinds that a CustomResourceDefinition makes the store serve. The
// first kind is that of the storage version.
type definition struct {
	kinds []*kind
}

// definitionSpec is the part of a CustomResourceDefinition that the store reads.
type definitionSpec struct {
	Group string `json:"group"`
	Scope string `json:"scope"`
	Names struct {
		Plural     string   `json:"plural"`
		Singular   string   `json:"singular"`
		Kind       string   `json:"kind"`
		ListKind   string   `json:"listKind"`
		ShortNames []string `json:"shortNames"`
	} `json:"names"`
	Versions []struct {
		Name    string `json:"name"`
		Served  bool   `json:"served"`
		Storage bool   `json:"storage"`
		Schema  struct {
			OpenAPI *spec.Schema `json:"openAPIV3Schema"`
		} `json:"schema"`
		Subresources struct {
			Status *struct{} `json:"status"`
		} `json:"subresources"`
	} `json:"versions"`
}

func readDefinition(o runtime.Object) (definitionSpec, error) {
	var d struct {
		Spec definitionSpec `json:"spec"`
	}
	b, err := json.Marshal(asUnstructured(o))
	if err != nil {
		return d.Spec, err
	}
	err = json.Unmarshal(b, &d)
	return d.Spec, err
}

// setDefinitionDefaults sets the API server's defaults in a definition.
func setDefinitionDefaults(o runtime.Object) {
	content := asUnstructured(o)
	spec, ok := content["spec"].(map[string]any)
	if !ok {
		return
	}
	if names, ok := spec["names"].(map[string]any); ok {
		if kind, ok := names["kind"].(string); ok {
			if names["singular"] == nil {
				names["singular"] = strings.ToLower(kind)
			}
			if names["listKind"] == nil {
				names["listKind"] = kind + "List"
			}
		}
	}
	if spec["conversion"] == nil {
		spec["conversion"] = map[string]any{"strategy": "None"}
	}
}

// prepareDefinition sets the status of a new definition.
func prepareDefinition(u *unstructured.Unstructured) error {
	d, err := readDefinition(u)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if want := d.Names.Plural + "." + d.Group; u.GetName() != want {
		return apierrors.NewInvalid(definitionKind.GroupKind(), u.GetName(), field.ErrorList{
			field.Invalid(field.NewPath("metadata", "name"), u.GetName(), "must be spec.names.plural+\".\"+spec.group"),
		})
	}
	var stored []any
	for _, v := range d.Versions {
		if v.Storage {
			stored = append(stored, v.Name)
		}
	}
	u.Object["status"] = map[string]any{
		"conditions":     nil,
		"acceptedNames":  map[string]any{"kind": "", "plural": ""},
		"storedVersions": stored,
	}
	return nil
}

// establish starts serving the kinds of a definition.
func (s *Store) establish(e *entry) error {
	d, err := readDefinition(e.object)
	if err != nil {
		return err
	}
	out := &definition{}
	storage := schema.GroupVersion{Group: d.Group}
	for _, v := range d.Versions {
		if v.Storage {
			storage.Version = v.Name
		}
	}
	for _, v := range d.Versions {
		if !v.Served && !v.Storage {
			continue
		}
		converter, err := newConverter(schema.GroupVersionKind{Group: d.Group, Version: v.Name, Kind: d.Names.Kind}, v.Schema.OpenAPI)
		if err != nil {
			return fmt.Errorf("schema of %s: %w", e.meta.GetName(), err)
		}
		out.kinds = append(out.kinds, &kind{
			gvk:      schema.GroupVersionKind{Group: d.Group, Version: v.Name, Kind: d.Names.Kind},
			resource: d.Names.Plural, singular: cmp.Or(d.Names.Singular, strings.ToLower(d.Names.Kind)), short: d.Names.ShortNames,
			namespaced: d.Scope == "Namespaced", status: v.Subresources.Status != nil, generation: true, storage: storage,
			converter: converter,
		})
	}
	slices.SortStableFunc(out.kinds, func(a, b *kind) int {
		return cmp.Compare(rank(a.gvk.GroupVersion() == storage), rank(b.gvk.GroupVersion() == storage))
	})
	s.served[schema.GroupResource{Group: d.Group, Resource: d.Names.Plural}] = out
	if hasCondition(e.object, "Established") {
		return nil
	}
	k := builtin()[definitions]
	return s.change(k, e, "status", "kube-apiserver", func(o runtime.Object) {
		now := time.Now().UTC().Format(time.RFC3339)
		status := asUnstructured(o)["status"].(map[string]any)
		names, _, _ := unstructured.NestedMap(asUnstructured(o), "spec", "names")
		status["acceptedNames"] = names
		status["conditions"] = []any{
			map[string]any{"type": "NamesAccepted", "status": "True", "lastTransitionTime": now, "reason": "NoConflicts", "message": "no conflicts found"},
			map[string]any{"type": "Established", "status": "True", "lastTransitionTime": now, "reason": "InitialNamesAccepted", "message": "the initial names have been accepted"},
		}
	})
}

// markTerminating records in a definition's status that its objects are to be deleted.
func markTerminating(o runtime.Object) {
	conditions, _, _ := unstructured.NestedSlice(asUnstructured(o), "status", "conditions")
	conditions = append(conditions, map[string]any{
		"type": "Terminating", "status": "True", "reason": "InstanceDeletionPending", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		"message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
	})
	if status, ok := asUnstructured(o)["status"].(map[string]any); ok {
		status["conditions"] = conditions
	}
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

func hasCondition(o runtime.Object, name string) bool {
	conditions, _, _ := unstructured.NestedSlice(asUnstructured(o), "status", "conditions")
	return slices.ContainsFunc(conditions, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == name && m["status"] == "True"
	})
}

// abolish deletes the objects of a definition being deleted, and then the definition. It
// reports whether it is done.
func (s *Store) abolish(e *entry) (bool, error) {
	d, err := readDefinition(e.object)
	if err != nil {
		return true, err
	}
	gr := schema.GroupResource{Group: d.Group, Resource: d.Names.Plural}
	for _, o := range s.all(gr) {
		if _, err := s.remove(writing{kind: o.kind, name: nameOf(o.meta), trusted: true}, &metav1.DeleteOptions{}); err != nil {
			return false, err
		}
	}
	if len(s.objects[gr]) > 0 {
		return false, nil
	}
	delete(s.served, gr)
	s.endWatchesOf(gr)
	return true, s.unfinalize(builtin()[definitions], e, cleanup)
}

// newConverter reads the schema of a version as the API server does: metadata has the
// same schema for all kinds.
func newConverter(gvk schema.GroupVersionKind, s *spec.Schema) (managedfields.TypeConverter, error) {
	if s == nil {
		return managedfields.NewDeducedTypeConverter(), nil
	}
	if preserve, _ := s.Extensions.GetBool("x-kubernetes-preserve-unknown-fields"); preserve && len(s.Properties) == 0 {
		return managedfields.NewDeducedTypeConverter(), nil
	}
	root := *s
	root.Properties = maps.Clone(s.Properties)
	if root.Properties == nil {
		root.Properties = map[string]spec.Schema{}
	}
	root.Properties["apiVersion"], root.Properties["kind"] = *spec.StringProperty(), *spec.StringProperty()
	root.Properties["metadata"] = *spec.RefProperty("#/components/schemas/" + objectMeta)
	root.Extensions = maps.Clone(s.Extensions)
	if root.Extensions == nil {
		root.Extensions = spec.Extensions{}
	}
	root.Extensions["x-kubernetes-group-version-kind"] = []any{map[string]any{"group": gvk.Group, "version": gvk.Version, "kind": gvk.Kind}}
	return managedfields.NewTypeConverter(map[string]*spec.Schema{
		"custom." + gvk.Kind: &root,
		objectMeta:           metadataSchema(),
	}, false)
}

// newDefinitionConverter returns the schema of definitions, as far as it matters for
// field ownership: all structs and lists except the schemas of versions.
func newDefinitionConverter() managedfields.TypeConverter {
	text := *spec.StringProperty()
	object := func(properties map[string]spec.Schema) spec.Schema {
		return spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: properties}}
	}
	anything := spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}}}
	anything.Extensions = spec.Extensions{"x-kubernetes-preserve-unknown-fields": true}
	list := func(of spec.Schema, extensions spec.Extensions) spec.Schema {
		out := *spec.ArrayProperty(&of)
		out.Extensions = extensions
		return out
	}
	atomic := spec.Extensions{"x-kubernetes-list-type": "atomic"}
	names := object(map[string]spec.Schema{
		"plural": text, "singular": text, "kind": text, "listKind": text, "shortNames": list(text, atomic), "categories": list(text, atomic),
	})
	condition := object(map[string]spec.Schema{
		"type": text, "status": text, "lastTransitionTime": text, "reason": text, "message": text, "observedGeneration": *spec.Int64Property(),
	})
	root := object(map[string]spec.Schema{
		"spec": object(map[string]spec.Schema{
			"group": text, "scope": text, "names": names, "versions": list(anything, atomic),
			"conversion": object(map[string]spec.Schema{"strategy": text, "webhook": anything}), "preserveUnknownFields": *spec.BooleanProperty(),
		}),
		"status": object(map[string]spec.Schema{
			"acceptedNames": names, "storedVersions": list(text, atomic), "observedGeneration": *spec.Int64Property(),
			"conditions": list(condition, spec.Extensions{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"type"}}),
		}),
	})
	converter, err := newConverter(definitionKind, &root)
	if err != nil {
		panic(err) // the schema is a constant
	}
	return converter
}

const objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

// metadataSchema returns the schema of ObjectMeta.
func metadataSchema() *spec.Schema {
	text, number := *spec.StringProperty(), *spec.Int64Property()
	list := func(of spec.Schema, extensions spec.Extensions) spec.Schema {
		out := *spec.ArrayProperty(&of)
		out.Extensions = extensions
		return out
	}
	owner := spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: map[string]spec.Schema{
		"apiVersion": text, "kind": text, "name": text, "uid": text,
		"controller": *spec.BooleanProperty(), "blockOwnerDeletion": *spec.BooleanProperty(),
	}}}
	owner.Extensions = spec.Extensions{"x-kubernetes-map-type": "atomic"}
	fields := spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}}}
	entry := spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: map[string]spec.Schema{
		"manager": text, "operation": text, "apiVersion": text, "time": text, "fieldsType": text, "fieldsV1": fields, "subresource": text,
	}}}
	return &spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: map[string]spec.Schema{
		"name": text, "generateName": text, "namespace": text, "selfLink": text, "uid": text, "resourceVersion": text,
		"generation": number, "creationTimestamp": text, "deletionTimestamp": text, "deletionGracePeriodSeconds": number,
		"labels": *spec.MapProperty(&text), "annotations": *spec.MapProperty(&text),
		"finalizers":      list(text, spec.Extensions{"x-kubernetes-list-type": "set"}),
		"ownerReferences": list(owner, spec.Extensions{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"uid"}}),
		"managedFields":   list(entry, spec.Extensions{"x-kubernetes-list-type": "atomic"}),
	}}}
}
