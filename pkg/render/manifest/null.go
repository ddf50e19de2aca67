package manifest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// Settle replaces each null in an object of a built-in kind by what it means to an API
// server, and reports whether there was any: a field is dropped, and a value in a map of
// strings, such as the data of a ConfigMap, becomes empty. In a server-side apply a null
// would be a value different from the field's default. If the field is part of the key of
// a list entry, each apply would add the entry again. Kinds that are not built in define
// themselves what null means.
func Settle(content map[string]any) bool {
	t, known := typeOf(content)
	return known && settleMap(content, t)
}

// MayHaveNull reports whether an object may contain a null. It searches the JSON for the
// word, which a few other objects contain too.
func MayHaveNull(data []byte) bool { return bytes.Contains(data, []byte("null")) }

// typeOf returns the type of an object of a built-in kind.
func typeOf(content map[string]any) (t reflect.Type, known bool) {
	apiVersion, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	t, known = builtInTypes()[schema.FromAPIVersionAndKind(apiVersion, kind)]
	return t, known
}

var builtInTypes = sync.OnceValue(scheme.Scheme.AllKnownTypes)

// builtIn reports whether an object is of a built-in kind.
func builtIn(content map[string]any) bool {
	_, known := typeOf(content)
	return known
}

// settleValue settles the nulls below a value of type t.
func settleValue(value any, t reflect.Type) bool {
	switch value := value.(type) {
	case map[string]any:
		return settleMap(value, t)
	case []any:
		t = deref(t)
		if t.Kind() != reflect.Slice {
			return false
		}
		changed := false
		for _, item := range value {
			changed = settleValue(item, t.Elem()) || changed
		}
		return changed
	}
	return false
}

func settleMap(content map[string]any, t reflect.Type) bool {
	t = deref(t)
	changed := false
	switch {
	case decodesItself(t):
	case t.Kind() == reflect.Struct:
		fields := fieldsOf(t)
		for name, value := range content {
			field, known := fields[name]
			switch {
			case !known:
			case value == nil:
				delete(content, name)
				changed = true
			default:
				changed = settleValue(value, field) || changed
			}
		}
	case t.Kind() == reflect.Map:
		for name, value := range content {
			switch {
			case value != nil:
				changed = settleValue(value, t.Elem()) || changed
			case t.Elem().Kind() == reflect.String:
				content[name] = ""
				changed = true
			}
		}
	}
	return changed
}

// deref returns the type that pointers lead to.
func deref(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// decodesItself reports whether a type decodes its own JSON.
func decodesItself(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
}

var fieldTypes sync.Map // by reflect.Type: map[string]reflect.Type

// fieldsOf returns the types of a struct's fields by their JSON names.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := fieldTypes.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	fieldTypes.Store(t, fields)
	return fields
}
