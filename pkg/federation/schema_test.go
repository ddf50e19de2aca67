package federation

import (
	"encoding/json"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is decoded and what the schema lets pass must be the same fields, or a
// field would be allowed and never read.
func TestSchemaAndFileHaveTheSameFields(t *testing.T) {
	inSchema := map[string]string{}
	var root map[string]any
	if err := json.Unmarshal(schemaJSON, &root); err != nil {
		t.Fatal(err)
	}
	schemaFields(t, root, root, "", inSchema)
	inGo := map[string]string{}
	goFields(reflect.TypeFor[fedsyncFile](), "", inGo)
	if diff := cmp.Diff(inGo, inSchema); diff != "" {
		t.Errorf("fields and their types (-Go +schema):\n%s", diff)
	}
}

func TestSchemaDescribesEveryField(t *testing.T) {
	for name, schema := range map[string][]byte{"fedsync.yaml": schemaJSON, "facts": factsSchemaJSON} {
		t.Run(name, func(t *testing.T) {
			var root map[string]any
			if err := json.Unmarshal(schema, &root); err != nil {
				t.Fatal(err)
			}
			describes(t, "", root)
		})
	}
}

func describes(t *testing.T, at string, v any) {
	t.Helper()
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	properties, _ := m["properties"].(map[string]any)
	for name, p := range properties {
		field := p.(map[string]any)
		if _, isGroup := field["properties"]; field["description"] == nil && !isGroup {
			t.Errorf("%s/%s has no description", at, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		describes(t, path.Join(at, key), m[key])
	}
}

func schemaFields(t *testing.T, root, s map[string]any, at string, out map[string]string) {
	t.Helper()
	if ref, ok := s["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/$defs/")
		schemaFields(t, root, root["$defs"].(map[string]any)[name].(map[string]any), at, out)
		return
	}
	properties, _ := s["properties"].(map[string]any)
	items, _ := s["items"].(map[string]any)
	switch {
	case properties != nil:
		for name, p := range properties {
			schemaFields(t, root, p.(map[string]any), at+"."+name, out)
		}
	case items != nil:
		schemaFields(t, root, items, at+"[]", out)
	case s["additionalProperties"] != nil:
		schemaFields(t, root, s["additionalProperties"].(map[string]any), at+"{}", out)
	case s["anyOf"] != nil:
		out[at] = "any"
	case s["type"] == "boolean", s["type"] == "integer":
		out[at] = s["type"].(string)
	default: // enum, const and string
		out[at] = "string"
	}
}

func goFields(t reflect.Type, at string, out map[string]string) {
	switch t.Kind() { //nolint:exhaustive // the file has these kinds of values, and all others are strings
	case reflect.Pointer:
		goFields(t.Elem(), at, out)
	case reflect.Struct:
		for f := range t.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			goFields(f.Type, at+"."+name, out)
		}
	case reflect.Slice:
		goFields(t.Elem(), at+"[]", out)
	case reflect.Map:
		goFields(t.Elem(), at+"{}", out)
	case reflect.Bool:
		out[at] = "boolean"
	case reflect.Int32, reflect.Int64:
		out[at] = "integer"
	case reflect.Interface:
		out[at] = "any"
	default:
		out[at] = "string"
	}
}
