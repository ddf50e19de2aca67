package fedfile

import (
	"encoding/json"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Every field that is read must be in the schema, or no file could have it. For the
// converse, see TestEveryFieldChangesTheFederation.
func TestSchemaHasEveryFieldThatIsRead(t *testing.T) {
	inSchema := schemaFields(t)
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

// schemaFields returns the schema of each field of fedsync.yaml that has no fields itself.
// ".spec.apps[].path" is the path of an app, and "{}" is a value of a map.
func schemaFields(t *testing.T) map[string]map[string]any {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(schemaJSON, &root); err != nil {
		t.Fatal(err)
	}
	fields := map[string]map[string]any{}
	var walk func(s map[string]any, at string)
	walk = func(s map[string]any, at string) {
		if ref, ok := s["$ref"].(string); ok {
			of := maps.Clone(root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any))
			maps.Copy(of, s)
			delete(of, "$ref")
			walk(of, at)
			return
		}
		properties, _ := s["properties"].(map[string]any)
		for name, p := range properties {
			walk(p.(map[string]any), at+"."+name)
		}
		switch values, isMap := s["additionalProperties"].(map[string]any); {
		case properties != nil:
		case s["items"] != nil:
			walk(s["items"].(map[string]any), at+"[]")
		case isMap:
			walk(values, at+"{}")
		default:
			fields[at] = s
		}
	}
	walk(root, "")
	return fields
}
