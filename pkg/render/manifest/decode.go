package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A Manifest is one object in a file.
type Manifest struct {
	Content map[string]any
	File    string
	Doc     strictyaml.Document
	At      []string // path of the object in the document: in a List, its item
}

// Decode parses YAML, and charges its values to the revision's budget.
func (f *Files) Decode(data []byte) ([]strictyaml.Document, error) {
	return strictyaml.DecodeWithin(data, f.values)
}

// Parse returns the objects of a file. It reads all documents, opens Lists, and
// skips empty documents. Its error names every line with a mistake.
func (f *Files) Parse(file string, data []byte) ([]Manifest, error) {
	docs, err := f.Decode(data)
	if err != nil {
		return nil, YAMLErrors(file, err)
	}
	var (
		all  []Manifest
		errs []error
	)
	for _, doc := range docs {
		content, ok := doc.Value.(map[string]any)
		if !ok {
			errs = append(errs, &Error{File: file, Line: doc.Line(), Reason: "a document must be a map with apiVersion, kind and metadata, not " + TypeName(doc.Value)})
			continue
		}
		opened, err := openList(Manifest{Content: content, File: file, Doc: doc})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, opened...)
	}
	if len(errs) > 0 {
		return nil, someOf(file, errs)
	}
	return all, nil
}

// someOf joins the first mistakes of a file, and counts the rest.
func someOf(file string, errs []error) error {
	errs = Flat(errs)
	if more := len(errs) - limit.Mistakes; more > 0 {
		errs = append(slices.Clip(errs[:limit.Mistakes]), &Error{File: file, Reason: limit.More(more) + " mistakes"})
	}
	return Join(errs)
}

// openList returns the items of a "kind: List" or "kind: ServiceList", and any
// other object unchanged.
func openList(m Manifest) ([]Manifest, error) {
	kind, _ := m.Content["kind"].(string)
	items, isList := m.Content["items"]
	if !strings.HasSuffix(kind, "List") || !isList {
		return []Manifest{m}, nil
	}
	if items == nil {
		return nil, nil
	}
	list, ok := items.([]any)
	if !ok {
		return nil, m.problem("items", "want a list, got "+TypeName(items), "items")
	}
	var (
		all  []Manifest
		errs []error
	)
	for i, item := range list {
		at := []string{"items", strconv.Itoa(i)}
		content, ok := item.(map[string]any)
		if !ok {
			errs = append(errs, m.problem(fmt.Sprintf("items[%d]", i), "want an object, got "+TypeName(item), at...))
			continue
		}
		all = append(all, Manifest{Content: content, File: m.File, Doc: m.Doc, At: at})
	}
	return all, errors.Join(errs...)
}

// problem returns an Error with the line of the value at path within the
// object.
func (m Manifest) problem(field, reason string, path ...string) *Error {
	return &Error{File: m.File, Line: m.Doc.Line(append(append([]string{}, m.At...), path...)...), Field: field, Reason: reason}
}

// Ref returns the object's reference, as far as its fields are set.
func (m Manifest) Ref() federation.ObjectRef { return Ref(m.Content) }

// Ref returns the reference of the object with this content, as far as its
// fields are set.
func Ref(content map[string]any) federation.ObjectRef {
	apiVersion, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	metadata, _ := content["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		group = ""
	}
	return federation.ObjectRef{Group: group, Kind: kind, Namespace: namespace, Name: name}
}

// TypeName describes the type of a value.
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "true or false"
	default:
		return "a number"
	}
}
