package objectstore

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var (
	lenient = scheme.Codecs.UniversalDeserializer()
	strict  = serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
)

// decode decodes an object of the kind from JSON or YAML.
func (k *kind) decode(body []byte, strictly bool) (runtime.Object, error) {
	if !k.typed {
		u := &unstructured.Unstructured{}
		if err := decodeMap(body, &u.Object); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		return k.checked(u)
	}
	decoder := lenient
	if strictly {
		decoder = strict
	}
	body, err := toJSON(body)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	o, _, err := decoder.Decode(body, &k.gvk, k.empty())
	if runtime.IsStrictDecodingError(err) {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", k.gvk.Kind, k.gvk.Version, k.gvk.Kind, err))
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: %v", k.gvk.Kind, k.gvk.Version, k.gvk.Kind, err))
	}
	return k.checked(o)
}

// checked refuses an object of another kind, and sets defaults.
func (k *kind) checked(o runtime.Object) (runtime.Object, error) {
	if got := o.GetObjectKind().GroupVersionKind(); got != k.gvk {
		if !got.Empty() {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("%s in version %q cannot be handled as a %s: converting (%s.%s) to (%s.%s): unknown conversion",
				got.Kind, got.Version, k.gvk.Kind, got.Version, got.Kind, cmp.Or(k.gvk.Group, "core"), k.gvk.Kind))
		}
		o.GetObjectKind().SetGroupVersionKind(k.gvk)
	}
	k.Default(o)
	return o, nil
}

func decodeMap(body []byte, into *map[string]any) error {
	body, err := toJSON(body)
	if err != nil {
		return err
	}
	return utiljson.Unmarshal(body, into)
}

// toJSON returns a body as JSON, which most bodies are already.
func toJSON(body []byte) ([]byte, error) {
	if json.Valid(body) {
		return body, nil
	}
	return yaml.YAMLToJSON(body)
}

func (s *Store) post(r *Request, k *kind) (int, []byte, error) {
	if r.Subresource != "" || r.Name != "" {
		return 0, nil, errNoSuchPath
	}
	object, err := k.decode(r.Body, r.strict())
	if err != nil {
		return 0, nil, err
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return 0, nil, err
	}
	if !k.namespaced && m.GetNamespace() != "" {
		m.SetNamespace("")
	}
	w := writing{
		kind: k, name: types.NamespacedName{Namespace: r.Namespace, Name: m.GetName()}, manager: r.Manager, request: r,
		create: true, exclusive: true,
	}
	k.Default(object)
	e, err := s.write(w, func(live runtime.Object) (runtime.Object, error) {
		return k.manager("").UpdateNoErrors(live, object, r.Manager), nil
	})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, e.at(k), nil
}

func (s *Store) put(r *Request, k *kind) (int, []byte, error) {
	if r.Subresource == "scale" && k.scale {
		return s.writeScale(r, k)
	}
	if !k.has(r.Subresource) || r.Name == "" {
		return 0, nil, errNoSuchPath
	}
	object, err := k.decode(r.Body, r.strict())
	if err != nil {
		return 0, nil, err
	}
	m, err := meta.Accessor(object)
	if err != nil {
		return 0, nil, err
	}
	w := writing{kind: k, name: r.object(), subresource: r.Subresource, manager: r.Manager, request: r}
	if e := s.find(k.groupResource(), r.object()); e != nil && m.GetUID() != "" && m.GetUID() != e.meta.GetUID() {
		return 0, nil, apierrors.NewConflict(k.groupResource(), r.Name,
			fmt.Errorf("StorageError: invalid object, Code: 4, Key: /registry/%s/%s/%s, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: %v, UID in object meta: %v",
				k.resource, r.Namespace, r.Name, m.GetUID(), e.meta.GetUID()))
	}
	e, err := s.write(w, func(live runtime.Object) (runtime.Object, error) {
		return k.manager(r.Subresource).UpdateNoErrors(live, object, r.Manager), nil
	})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, e.at(k), nil
}

// has reports whether a subresource holds the object itself.
func (k *kind) has(subresource string) bool {
	return subresource == "" || subresource == "status" && k.status
}

func (s *Store) patch(r *Request, k *kind) (int, []byte, error) {
	if r.Subresource == "scale" && k.scale {
		return s.writeScale(r, k)
	}
	if !k.has(r.Subresource) || r.Name == "" {
		return 0, nil, errNoSuchPath
	}
	apply := r.patchType() == types.ApplyYAMLPatchType
	if apply && r.query.Get("fieldManager") == "" {
		return 0, nil, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "PatchOptions"}, "",
			field.ErrorList{field.Required(field.NewPath("fieldManager"), "is required for apply patch")})
	}
	w := writing{kind: k, name: r.object(), subresource: r.Subresource, manager: r.Manager, request: r, create: apply}
	existed := s.find(k.groupResource(), r.object()) != nil
	e, err := s.write(w, func(live runtime.Object) (runtime.Object, error) {
		if apply {
			return k.applied(live, r)
		}
		object, err := k.patched(live, r)
		if err != nil {
			return nil, err
		}
		return k.manager(r.Subresource).UpdateNoErrors(live, object, r.Manager), nil
	})
	if err != nil {
		return 0, nil, err
	}
	if !existed {
		return http.StatusCreated, e.at(k), nil
	}
	return http.StatusOK, e.at(k), nil
}

// applied merges an applied object into the live one.
func (k *kind) applied(live runtime.Object, r *Request) (runtime.Object, error) {
	u := &unstructured.Unstructured{}
	if err := decodeMap(r.Body, &u.Object); err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
	}
	if u.GroupVersionKind() != k.gvk && u.GetAPIVersion() == k.gvk.GroupVersion().String() {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid object type: %v", u.GroupVersionKind()))
	}
	out, err := k.manager(r.Subresource).Apply(live, u, r.Manager, r.query.Get("force") == "true")
	if err != nil {
		return nil, err
	}
	k.Default(out) // the namespace's label follows from its name, which is known now
	return out, nil
}

// patched returns the result of a patch on the live object, which stays unchanged.
func (k *kind) patched(live runtime.Object, r *Request) (runtime.Object, error) {
	before, err := json.Marshal(live)
	if err != nil {
		return nil, err
	}
	var after []byte
	switch t := r.patchType(); {
	case t == types.JSONPatchType:
		p, err := jsonpatch.DecodePatch(r.Body)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		if after, err = p.Apply(before); err != nil {
			return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
		}
	case t == types.MergePatchType:
		if after, err = jsonpatch.MergePatch(before, r.Body); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	case t == types.StrategicMergePatchType && k.typed:
		if after, err = strategicpatch.StrategicMergePatch(before, r.Body, k.empty()); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	default:
		return nil, apierrors.NewGenericServerResponse(http.StatusUnsupportedMediaType, "patch", k.groupResource(), r.Name,
			fmt.Sprintf("the body of the request was in an unknown format - accepted media types include: %s, %s, %s", types.JSONPatchType, types.MergePatchType, types.ApplyYAMLPatchType), 0, false)
	}
	return k.decode(after, r.strict())
}
