// Package fields compares two states of an object, field by field, for display.
package fields

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Difference is a field that differs between two states of an object.
type Difference struct {
	Path   string `json:"path"`
	Before Value  `json:"before,omitempty"`
	After  Value  `json:"after,omitempty"`
}

// Value is a field's value: usually JSON, or a text such as *** for a value that is not
// shown. The empty Value means none.
type Value string

// MarshalJSON returns the value itself if it is JSON; otherwise its text as a
// string.
func (v Value) MarshalJSON() ([]byte, error) {
	if json.Valid([]byte(v)) {
		return []byte(v), nil
	}
	return json.Marshal(string(v))
}

// Lines returns a string of several lines, and false for any other value.
func (v Value) Lines() (string, bool) {
	var text string
	if err := json.Unmarshal([]byte(v), &text); err != nil || !strings.Contains(text, "\n") {
		return "", false
	}
	return text, true
}

// mask replaces a Secret's content.
const mask = "***"

// Compare compares two states of an object; either may be nil. It ignores the fields
// that the API server manages, including the status.
func Compare(kind schema.GroupKind, before, after map[string]any) []Difference {
	c := comparison{kind: kind}
	c.compare("", judged(before), judged(after))
	return c.out
}

// ValueOf returns a field's value as in a Difference: a Secret's content is masked.
func ValueOf(kind schema.GroupKind, path string, value any) Value {
	switch {
	case value == nil:
		return ""
	case masked(kind, path):
		return mask
	}
	return Value(encode(value))
}

// judged returns an object without the fields that the API server manages.
func judged(object map[string]any) any {
	if object == nil {
		return nil
	}
	out := maps.Clone(object)
	delete(out, "status")
	if metadata, ok := out["metadata"].(map[string]any); ok {
		metadata = maps.Clone(metadata)
		for _, name := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"} {
			delete(metadata, name)
		}
		out["metadata"] = metadata
	}
	return out
}

// masked reports whether a field holds a Secret's content.
func masked(kind schema.GroupKind, path string) bool {
	return kind == schema.GroupKind{Kind: "Secret"} && (strings.HasPrefix(path, "data") || strings.HasPrefix(path, "stringData"))
}

// comparison collects the differences of two values.
type comparison struct {
	kind schema.GroupKind
	out  []Difference
}

func (c *comparison) compare(path string, before, after any) {
	b, bIsMap := before.(map[string]any)
	a, aIsMap := after.(map[string]any)
	if (bIsMap || before == nil) && (aIsMap || after == nil) && len(a)+len(b) > 0 {
		names := slices.AppendSeq(slices.Collect(maps.Keys(b)), maps.Keys(a))
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			c.compare(child(path, name), b[name], a[name])
		}
		return
	}
	bList, bIsList := before.([]any)
	aList, aIsList := after.([]any)
	if (bIsList || before == nil) && (aIsList || after == nil) && len(aList)+len(bList) > 0 {
		c.lists(path, bList, aList)
		return
	}
	x, y := ValueOf(c.kind, path, before), ValueOf(c.kind, path, after)
	if x == y && !masked(c.kind, path) || string(encode(before)) == string(encode(after)) {
		return
	}
	if x == y {
		x, y = x+" before", y+" after"
	}
	c.out = append(c.out, Difference{Path: path, Before: x, After: y})
}

// lists compares items by their names, if all have one and the names differ between
// the lists: a new container must not change all that follow it. Otherwise it compares
// them by index.
func (c *comparison) lists(path string, before, after []any) {
	b, bNamed := byName(before)
	a, aNamed := byName(after)
	if bNamed && aNamed && len(before) > 0 && len(after) > 0 && !slices.Equal(b.names, a.names) {
		common := slices.DeleteFunc(slices.Clone(b.names), func(name string) bool { return a.items[name] == nil })
		sameOrder := slices.Equal(common, slices.DeleteFunc(slices.Clone(a.names), func(name string) bool { return b.items[name] == nil }))
		if sameOrder {
			names := slices.Concat(b.names, slices.DeleteFunc(slices.Clone(a.names), func(name string) bool { return b.items[name] != nil }))
			for _, name := range names {
				c.compare(fmt.Sprintf("%s[%s]", path, name), b.items[name], a.items[name])
			}
			return
		}
	}
	for i := range max(len(before), len(after)) {
		c.compare(fmt.Sprintf("%s[%d]", path, i), at(before, i), at(after, i))
	}
}

// named is a list whose items all have a name.
type named struct {
	names []string
	items map[string]any
}

func byName(items []any) (named, bool) {
	n := named{items: map[string]any{}}
	for _, item := range items {
		fields, _ := item.(map[string]any)
		name, ok := fields["name"].(string)
		if !ok || n.items[name] != nil {
			return named{}, false
		}
		n.names = append(n.names, name)
		n.items[name] = item
	}
	return n, true
}

func at(items []any, i int) any {
	if i < len(items) {
		return items[i]
	}
	return nil
}

func child(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return []byte("null") // it came from JSON
	}
	return data
}
