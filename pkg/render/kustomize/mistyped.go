package kustomize

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// typeError matches encoding/json's error for a value whose type is not that of its
// field.
var typeError = regexp.MustCompile(`cannot unmarshal (\w+)(?: \S+)? into Go struct field \w+\.([\w.]+) of type (\S+)`)

// mistyped returns an error with the line of a field of the kustomization whose value
// has the wrong type, according to kustomize's error; nil for any other error.
func (k *kustomization) mistyped(text string) *manifest.Error {
	m := typeError.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	is, field, want := m[1], m[2], wantedType(m[3])
	// An embedded Go struct is an element of the path, but not a field in the
	// file.
	steps := slices.DeleteFunc(strings.Split(field, "."), func(step string) bool { return unicode.IsUpper(rune(step[0])) })
	at, found := findTyped(k.doc.Value, steps, is)
	if !found {
		return nil
	}
	e := &manifest.Error{File: k.file, Line: k.doc.Line(at...), Field: inWords(at), Reason: "want " + want + ", got " + jsonType(is)}
	switch {
	case want == "a string" && (is == "number" || is == "bool"):
		e.Remedy = "quote it"
	case field == "patches" && is == "string":
		e.Remedy = "write it below patch:, or name its file by path:"
	}
	return e
}

// findTyped returns the path of the first value of a JSON type at a path of fields. In
// fields, lists on the way have no element of their own, nor do maps of values at the
// end.
func findTyped(value any, fields []string, is string) (at []string, found bool) {
	if list, ok := value.([]any); ok && (len(fields) > 0 || is != "array") {
		for i, one := range list {
			if at, found = findTyped(one, fields, is); found {
				return append([]string{strconv.Itoa(i)}, at...), true
			}
		}
		return nil, false
	}
	content, isMap := value.(map[string]any)
	switch {
	case len(fields) == 0 && (!isMap || is == "object"):
		return nil, manifest.TypeName(value) == jsonType(is) || is == "bool" && isTruth(value)
	case len(fields) == 0:
		fields = []string{""}
	}
	for _, key := range slices.Sorted(maps.Keys(content)) {
		if fields[0] != "" && !strings.EqualFold(key, fields[0]) {
			continue
		}
		if at, found = findTyped(content[key], fields[1:], is); found {
			return append([]string{key}, at...), true
		}
	}
	return nil, false
}

// isTruth reports whether a value is a word that kustomize reads as true or false.
func isTruth(value any) bool {
	text, _ := value.(string)
	return slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(text))
}

// jsonType describes a JSON type, as manifest.TypeName does.
func jsonType(is string) string {
	switch is {
	case "object":
		return "a map"
	case "array":
		return "a list"
	case "bool":
		return "true or false"
	}
	return "a " + is
}

// wantedType describes a Go type.
func wantedType(name string) string {
	switch {
	case strings.HasPrefix(name, "[]"):
		return "a list"
	case name == "string", name == "bool":
		return jsonType(name)
	case strings.HasPrefix(name, "int"), strings.HasPrefix(name, "uint"), strings.HasPrefix(name, "float"):
		return "a number"
	}
	return "a map"
}

// inWords formats a path as in "images[0].newTag".
func inWords(path []string) string {
	var b strings.Builder
	for _, step := range path {
		if _, err := strconv.Atoi(step); err == nil {
			b.WriteString("[" + step + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteString(".")
		}
		b.WriteString(step)
	}
	return b.String()
}
