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

// typeError is how encoding/json says that a value is of another type than its field.
var typeError = regexp.MustCompile(`cannot unmarshal (\w+)(?: \S+)? into Go struct field \w+\.([\w.]+) of type (\S+)`)

// mistyped blames the line of a field of the kustomization whose value is of the wrong
// type, by what kustomize says; nil where it says something else.
func (k *kustomization) mistyped(text string) *manifest.Error {
	m := typeError.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	is, field, want := m[1], m[2], wantedType(m[3])
	// What is embedded in Go has a step in the path, and no field in the file.
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

// findTyped returns where the first value of a type of JSON stands at a path of fields.
// Lists on the way have no step of their own, nor have maps of values at its end.
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

// isTruth reports whether a value is a word that kustomize takes for true or false.
func isTruth(value any) bool {
	text, _ := value.(string)
	return slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(text))
}

// jsonType puts a type of JSON in words, as typeName does.
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

// wantedType puts a type of Go in words.
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

// inWords gives a path as "images[0].newTag".
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
