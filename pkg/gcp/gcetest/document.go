package gcetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
)

// document is a resource or a request body as JSON. Unlike the generated types, it
// distinguishes an absent field from a zero one. A stored document is never changed in
// place.
type document map[string]any

// parseDocument parses a body and refuses fields that type t does not have, at any depth:
// the generated types come from the discovery document.
func parseDocument(body []byte, t reflect.Type) (document, *refusal) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var doc document
	if err := decoder.Decode(&doc); err != nil {
		return nil, invalid("Invalid JSON payload received. %v", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, invalid("Invalid JSON payload received. Unexpected text after the object.")
	}
	if doc == nil {
		return nil, invalid("Invalid JSON payload received. Expected an object.")
	}
	if err := checkFields(map[string]any(doc), t, ""); err != nil {
		return nil, invalid("Invalid JSON payload received. %v", err)
	}
	if err := decodeStrict(doc, reflect.New(t).Interface()); err != nil {
		return nil, invalid("Invalid JSON payload received. %v", err)
	}
	return doc, nil
}

// decodeStrict decodes the document into a generated type. Unknown fields are an error;
// checkFields finds those that types with decoders of their own would accept.
func decodeStrict(doc document, into any) error {
	data, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

// checkFields compares a JSON value with the type that it will be decoded into.
func checkFields(v any, t reflect.Type, at string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := v.(type) {
	case map[string]any:
		if t.Kind() == reflect.Map {
			for name, value := range v {
				if err := checkFields(value, t.Elem(), at+"."+name); err != nil {
					return err
				}
			}
			return nil
		}
		if t.Kind() != reflect.Struct {
			return nil // the decoder refuses it, or the type accepts anything
		}
		fields := fieldsOf(t)
		for name, value := range v {
			field, ok := fields[name]
			if !ok {
				return fmt.Errorf("unknown name %q at 'resource%s': Cannot find field", name, at)
			}
			if err := checkFields(value, field, at+"."+name); err != nil {
				return err
			}
		}
	case []any:
		if t.Kind() != reflect.Slice {
			return nil
		}
		for i, value := range v {
			if err := checkFields(value, t.Elem(), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

var fieldCache sync.Map // reflect.Type to map[string]reflect.Type

// fieldsOf returns the JSON fields of a generated type, by their exact names.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.(map[string]reflect.Type)
	}
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	fieldCache.Store(t, fields)
	return fields
}

// as decodes a document that has been checked into a generated type.
func as[T any](doc document) *T {
	out := new(T)
	data, err := json.Marshal(doc)
	if err == nil {
		err = json.Unmarshal(data, out)
	}
	if err != nil {
		panic("gcetest: a checked document does not decode: " + err.Error())
	}
	return out
}

// documentOf returns a value of a generated type as JSON.
func documentOf(v any) document {
	data, err := json.Marshal(v)
	if err != nil {
		panic("gcetest: " + err.Error())
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var doc document
	if err := decoder.Decode(&doc); err != nil {
		panic("gcetest: " + err.Error())
	}
	return doc
}

// merged returns old with a JSON merge patch (RFC 7396) applied: objects are merged, null
// deletes, and everything else, including lists, is replaced.
func merged(old, patch map[string]any) map[string]any {
	out := make(map[string]any, len(old)+len(patch))
	for name, value := range old {
		out[name] = deepCopy(value)
	}
	for name, value := range patch {
		if value == nil {
			delete(out, name)
			continue
		}
		object, ok := value.(map[string]any)
		if !ok {
			out[name] = deepCopy(value)
			continue
		}
		before, _ := out[name].(map[string]any)
		out[name] = merged(before, object)
	}
	return out
}

func deepCopy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return map[string]any(document(v).clone())
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = deepCopy(value)
		}
		return out
	default:
		return v
	}
}

func (d document) clone() document {
	out := make(document, len(d))
	for name, value := range d {
		out[name] = deepCopy(value)
	}
	return out
}

// text returns the string in a field; empty if there is none.
func (d document) text(field string) string {
	s, _ := d[field].(string)
	return s
}

// setDefault sets a field if it is absent.
func (d document) setDefault(field string, value any) {
	if _, ok := d[field]; !ok {
		d[field] = value
	}
}

// objects returns the objects in a list field.
func (d document) objects(field string) []document {
	list, _ := d[field].([]any)
	var out []document
	for _, item := range list {
		if object, ok := item.(map[string]any); ok {
			out = append(out, object)
		}
	}
	return out
}

// changed returns the names of the top-level fields that differ.
func changed(a, b document) []string {
	var out []string
	for name, value := range a {
		if !equalJSON(value, b[name]) {
			out = append(out, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			out = append(out, name)
		}
	}
	return out
}

func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
