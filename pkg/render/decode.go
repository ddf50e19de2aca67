package render

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

// A manifest is one object as a file holds it.
type manifest struct {
	content map[string]any
	file    string
	doc     strictyaml.Document
	at      []string // where the object is in the document: in a List, its item
}

// decode reads YAML, and draws what it says from the revision's budget.
func (f *files) decode(data []byte) ([]strictyaml.Document, error) {
	return strictyaml.DecodeWithin(data, f.values)
}

// manifestsIn reads the objects of a file: several documents, Lists opened, empty
// documents left out. Its error names every line that is wrong.
func (f *files) manifestsIn(file string, data []byte) ([]manifest, error) {
	docs, err := f.decode(data)
	if err != nil {
		return nil, yamlErrors(file, err)
	}
	var (
		all  []manifest
		errs []error
	)
	for _, doc := range docs {
		content, ok := doc.Value.(map[string]any)
		if !ok {
			errs = append(errs, &Error{File: file, Line: doc.Line(), Reason: "a document must be a map with apiVersion, kind and metadata, not " + typeName(doc.Value)})
			continue
		}
		opened, err := openList(manifest{content: content, file: file, doc: doc})
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
	errs = flat(errs)
	if more := len(errs) - limit.Mistakes; more > 0 {
		errs = append(slices.Clip(errs[:limit.Mistakes]), &Error{File: file, Reason: limit.More(more) + " mistakes"})
	}
	return joined(errs)
}

// openList gives the objects of a "kind: List" or "kind: ServiceList", and any
// other object as it is.
func openList(m manifest) ([]manifest, error) {
	kind, _ := m.content["kind"].(string)
	items, isList := m.content["items"]
	if !strings.HasSuffix(kind, "List") || !isList {
		return []manifest{m}, nil
	}
	if items == nil {
		return nil, nil
	}
	list, ok := items.([]any)
	if !ok {
		return nil, m.problem("items", "want a list, got "+typeName(items), "items")
	}
	var (
		all  []manifest
		errs []error
	)
	for i, item := range list {
		at := []string{"items", strconv.Itoa(i)}
		content, ok := item.(map[string]any)
		if !ok {
			errs = append(errs, m.problem(fmt.Sprintf("items[%d]", i), "want an object, got "+typeName(item), at...))
			continue
		}
		all = append(all, manifest{content: content, file: m.file, doc: m.doc, at: at})
	}
	return all, errors.Join(errs...)
}

// problem blames the line of the value at path, below the object.
func (m manifest) problem(field, reason string, path ...string) *Error {
	return &Error{File: m.file, Line: m.doc.Line(append(append([]string{}, m.at...), path...)...), Field: field, Reason: reason}
}

// ref names the object; check says whether it has a name.
func (m manifest) ref() federation.ObjectRef { return refOf(m.content) }

func refOf(content map[string]any) federation.ObjectRef {
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

func typeName(v any) string {
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
