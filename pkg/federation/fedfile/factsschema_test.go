package fedfile

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The schema of a file of facts is generated from the facts. Run with -update after
// changing them.
func TestFactsSchemaIsGeneratedFromTheFacts(t *testing.T) {
	want := factsSchema()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile("facts.schema.json", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(factsSchemaJSON)); diff != "" {
		t.Errorf("facts.schema.json (-want +got); go test ./pkg/federation/fedfile -update writes it:\n%s", diff)
	}
}

func factsSchema() string {
	w := schemaWriter{done: map[string]bool{}}
	root := w.object(factsFormat.form(), "  ")
	return fmt.Sprintf(`{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "https://fedsync.dev/schemas/v1alpha1/facts.json",
  "title": "Facts",
  "description": "What the member clusters report, as fedsync facts prints it and fedsync render --facts reads it.",
%s,
  "$defs": {
%s
  }
}
`, root, strings.Join(w.defs, ",\n"))
}

// schemaWriter writes one schema, a line for each field.
type schemaWriter struct {
	defs []string // of the structs
	done map[string]bool
}

// object returns the schema of a struct.
func (w *schemaWriter) object(f *form, indent string) string {
	var required, properties []string
	for i := range f.fields {
		one := &f.fields[i]
		if one.required {
			required = append(required, one.name)
		}
		says := append([]string{`"description": ` + quote(one.tag.Get("doc"))}, w.field(one)...)
		properties = append(properties, fmt.Sprintf("%s  %s: {%s}", indent, quote(one.name), strings.Join(says, ", ")))
	}
	lines := []string{indent + `"type": "object"`, indent + `"additionalProperties": false`}
	if required != nil {
		lines = append(lines, indent+`"required": `+quote(required))
	}
	return strings.Join(append(lines, indent+"\"properties\": {\n"+strings.Join(properties, ",\n")+"\n"+indent+"}"), ",\n")
}

// field returns the schema of a field without its description.
func (w *schemaWriter) field(f *field) []string {
	if value, ok := f.tag.Lookup("const"); ok {
		return []string{`"const": ` + quote(value)}
	}
	var says []string
	if values, ok := f.tag.Lookup("enum"); ok {
		says = []string{`"enum": ` + quote(strings.Fields(values))}
	} else {
		says = w.value(f.typ, &f.form, f.name)
	}
	value, hasDefault := f.tag.Lookup("default")
	kind := f.typ.Kind()
	switch {
	case kind == reflect.Bool && !f.implied:
		says = append(says, fmt.Sprintf(`"default": %t`, value == "true"))
	case kind == reflect.Int32:
		says = append(says, `"minimum": 1`, `"maximum": 65535`) // all are ports
	case kind == reflect.Int, kind == reflect.Int64:
		says = append(says, `"minimum": 0`, `"maximum": 9007199254740991`) // all are counts
		if !f.required && !f.implied {
			says = append(says, `"default": 0`)
		}
	case says[0] == isString && (f.required || hasDefault || f.typ == reflect.TypeFor[time.Time]()):
		says = append(says, `"minLength": 1`)
	}
	if hasDefault && kind == reflect.String {
		says = append(says, `"default": `+quote(value))
	}
	return says
}

const isString = `"type": "string"`

// value returns the schema of a value by its type.
func (w *schemaWriter) value(t reflect.Type, f *form, name string) []string {
	switch {
	case f.fields != nil:
		if !isText(t) {
			name = t.Name()
		}
		name = strings.ToLower(name[:1]) + name[1:]
		if !w.done[name] {
			w.done[name] = true
			w.defs = append(w.defs, fmt.Sprintf("    %s: {\n%s\n    }", quote(name), w.object(f, "      ")))
		}
		return []string{`"$ref": ` + quote("#/$defs/"+name)}
	case isText(t):
		return []string{isString}
	case t.Kind() == reflect.Slice:
		return []string{`"type": "array"`, `"items": {` + strings.Join(w.value(t.Elem(), f.entry, name), ", ") + `}`}
	case t == reflect.TypeFor[map[string]int64]():
		return []string{`"type": "object"`, `"additionalProperties": {"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807}`}
	case t.Kind() == reflect.Map:
		return []string{`"type": "object"`, `"additionalProperties": {` + strings.Join(w.value(t.Elem(), f.entry, name), ", ") + `}`}
	case t.Kind() == reflect.Bool:
		return []string{`"type": "boolean"`}
	}
	return []string{`"type": "integer"`}
}

func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // they are texts
	}
	return strings.ReplaceAll(string(text), `","`, `", "`)
}
