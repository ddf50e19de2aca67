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

// A Manifest is one object as a file holds it.
type Manifest struct {
	Content map[string]any
	File    string
	Doc     strictyaml.Document
	At      []string // where the object is in the document: in a List, its item
}

// Decode reads YAML, and draws what it says from the revision's budget.
func (f *Files) Decode(data []byte) ([]strictyaml.Document, error) {
	return strictyaml.DecodeWithin(data, f.values)
}

// Parse reads the objects of a file: several documents, Lists opened, empty
// documents left out. Its error names every line that is wrong.
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

// openList gives the objects of a "kind: List" or "kind: ServiceList", and any
// other object as it is.
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

// problem blames the line of the value at path, below the object.
func (m Manifest) problem(field, reason string, path ...string) *Error {
	return &Error{File: m.File, Line: m.Doc.Line(append(append([]string{}, m.At...), path...)...), Field: field, Reason: reason}
}

// Ref names the object, as far as it says.
func (m Manifest) Ref() federation.ObjectRef { return Ref(m.Content) }

// Ref names the object that has the content, as far as it says.
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

// TypeName puts the type of a value in words.
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
