package fedfile

import (
	"bytes"
	_ "embed" // for the schema
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/pkg/federation"
)

//go:embed fedsync.schema.json
var schemaJSON []byte

//go:embed facts.schema.json
var factsSchemaJSON []byte

// Schema is the JSON Schema (draft 2020-12) of fedsync.yaml, for editors. It is
// what Parse validates with.
func Schema() []byte { return bytes.Clone(schemaJSON) }

// format is a kind of file that is read strictly. Its form is derived, and its schema
// compiled, on first use. The schemas are embedded, and a test checks that they compile.
type format struct {
	file     string // the name in errors
	kind     string
	size     size
	schema   []byte
	form     func() *form
	compiled func() (*jsonschema.Schema, error)
}

var (
	federationFormat = newFormat[federation.Federation](federation.FileName, federation.Kind, federationSize, schemaJSON)
	factsFormat      = newFormat[factsDocument](factsFile, FactsKind, factsSize, factsSchemaJSON)
)

func newFormat[File any](file, kind string, size size, schema []byte) *format {
	f := &format{file: file, kind: kind, size: size, schema: schema}
	f.form = sync.OnceValue(func() *form {
		form := structForm(reflect.TypeFor[File]())
		return &form
	})
	f.compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
		url := kind + ".schema.json"
		content, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
		if err != nil {
			return nil, fmt.Errorf("decode %s: %w", url, err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource(url, content); err != nil {
			return nil, fmt.Errorf("add %s: %w", url, err)
		}
		return compiler.Compile(url)
	})
	return f
}

// validate returns what the schema refuses.
func (f *format) validate(doc *strictyaml.Document) Errors {
	schema, err := f.compiled()
	if err != nil {
		return Errors{{File: f.file, Message: err.Error()}}
	}
	err = schema.Validate(doc.Value)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		v := refusals{f, mistakes{file: f.file, doc: doc}}
		v.collect(invalid)
		return v.errors()
	default:
		return Errors{{File: f.file, Message: err.Error()}}
	}
}

// refusals translates the errors of a schema's validation into plain messages.
type refusals struct {
	*format
	mistakes
}

func (v *refusals) collect(e *jsonschema.ValidationError) {
	switch k := e.ErrorKind.(type) {
	case *kind.AnyOf:
		// The errors of the alternatives would contradict one another.
		v.add(func() string { return wantPruneLimit }, e.InstanceLocation...)
		return
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			v.add(func() string {
				return fmt.Sprintf("unknown field %s%s", limit.Quote(name), didYouMean(name, v.knownFields(e.SchemaURL)))
			}, append(slices.Clone(e.InstanceLocation), name)...)
		}
	case *kind.Required:
		for _, name := range k.Missing {
			v.add(func() string { return fmt.Sprintf("%q is missing", name) }, e.InstanceLocation...)
		}
	default:
		if len(e.Causes) == 0 {
			v.add(func() string { return messageOf(e) }, e.InstanceLocation...)
		}
	}
	for _, cause := range e.Causes {
		v.collect(cause)
	}
}

func messageOf(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return fmt.Sprintf("want %s, got %s", article(k.Want), article([]string{k.Got}))
	case *kind.Const:
		return fmt.Sprintf("want %v, got %s", k.Want, written(k.Got))
	case *kind.Enum:
		want := make([]string, len(k.Want))
		for i, w := range k.Want {
			want[i] = fmt.Sprint(w)
		}
		got, _ := k.Got.(string)
		return fmt.Sprintf("%s is not supported: want %s%s", quoted(k.Got), oneOf(want), didYouMean(got, want))
	case *kind.Pattern:
		return fmt.Sprintf("%s is not valid: %s", limit.Quote(k.Got), patternMeaning(k.Want))
	case *kind.MinItems:
		return fmt.Sprintf("want %d or more entries, got %d", k.Want, k.Got)
	case *kind.MinLength:
		return "must not be empty"
	case *kind.Minimum:
		return fmt.Sprintf("want %s or more, got %s", k.Want.RatString(), k.Got.RatString())
	case *kind.Maximum:
		return fmt.Sprintf("want %s or less, got %s", k.Want.RatString(), k.Got.RatString())
	case *kind.MaxLength:
		return fmt.Sprintf("is %d characters long; at most %d are allowed", k.Got, k.Want)
	}
	return "the schema refuses it: " + strings.Join(e.ErrorKind.KeywordPath(), "/")
}

// wantPruneLimit explains the one field that may be of two types.
const wantPruneLimit = "want a percentage of the app's objects from 0% to 100%, such as 10%, or a count of them"

// networkPattern is the schema's pattern for spec.gcp.network.
const networkPattern = "^(projects/([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]/global/networks/)?[a-z]([-a-z0-9]{0,61}[a-z0-9])?$"

// patternMeaning describes a pattern of the schema.
func patternMeaning(pattern string) string {
	switch pattern {
	case "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$":
		return "want lower-case letters, digits and '-', with a letter or digit at both ends"
	case "^[0-9]{1,5}-[0-9]{1,5}$":
		return "want a range such as 30000-32767"
	case "^[a-z]+-[a-z]+[0-9]+-[a-z]$":
		return "want a zone such as europe-west1-b"
	case "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$":
		return "want a lower-case letter, then letters, digits and '-', with a letter or digit at the end"
	case "^([!-~]([ -~]*[!-~])?)?$":
		return "want printable ASCII characters, without a space at either end"
	case networkPattern:
		return "want the name of a network, or projects/HOST/global/networks/NAME"
	}
	return "it does not match " + pattern
}

// knownFields lists the fields of the object that the schema at url describes.
func (f *format) knownFields(url string) []string {
	_, pointer, _ := strings.Cut(url, "#")
	var at any
	if json.Unmarshal(f.schema, &at) != nil {
		return nil
	}
	for step := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
		if step == "" {
			continue
		}
		object, _ := at.(map[string]any)
		at = object[step]
	}
	object, _ := at.(map[string]any)
	properties, _ := object["properties"].(map[string]any)
	return slices.Sorted(maps.Keys(properties))
}

func article(types []string) string {
	words := make([]string, len(types))
	for i, t := range types {
		switch t {
		case "object":
			words[i] = "a map"
		case "array":
			words[i] = "a list"
		case "boolean":
			words[i] = "true or false"
		case "integer":
			words[i] = "an integer"
		case "null":
			words[i] = "nothing"
		default:
			words[i] = "a " + t
		}
	}
	return strings.Join(words, " or ")
}

// quoted is like written, but quotes a text.
func quoted(v any) string {
	if s, ok := v.(string); ok {
		return limit.Quote(s)
	}
	return written(v)
}

// written returns a value as it is in the file, and only the type of a list or map.
func written(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	case string:
		return limit.Text(v, limit.ValueBytes)
	}
	return fmt.Sprint(v)
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
