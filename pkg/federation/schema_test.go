package federation

import (
	"encoding/json"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What is read must be a field of the schema, or nobody could ever write it. That each
// field of the schema is read, TestEveryFieldChangesTheFederation holds.
func TestSchemaHasEveryFieldThatIsRead(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(schemaJSON, &root); err != nil {
		t.Fatal(err)
	}
	inSchema := map[string]string{}
	schemaFields(t, root, root, "", inSchema)
	for _, name := range readFields(federationFormat.form(), "") {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(inSchema)), func(field string) bool {
			rest, ok := strings.CutPrefix(field, name)
			return ok && strings.Trim(rest[:min(1, len(rest))], ".[{") == ""
		}) {
			t.Errorf("the schema has no %s", name)
		}
	}
}

func readFields(f *form, at string) []string {
	if f.entry != nil {
		return readFields(f.entry, at+"[]")
	}
	var names []string
	for i := range f.fields {
		one := &f.fields[i]
		at := at + "." + one.name
		names = append(names, at)
		if one.typ.Kind() != reflect.Map {
			names = append(names, readFields(&one.form, at)...)
		}
	}
	return names
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
