package fedfile

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// A writing encodes values as JSON, by their forms. The fields are in the order of the
// structs.
type writing struct {
	b       bytes.Buffer
	encoder *json.Encoder // to b
	err     error         // the first one
}

// jsonOf encodes a value.
func jsonOf(v reflect.Value, f *form) ([]byte, error) {
	var w writing
	w.encoder = json.NewEncoder(&w.b)
	w.encoder.SetEscapeHTML(false) // it is not embedded in HTML, and people read it
	w.value(v, f)
	var indented bytes.Buffer
	if w.err == nil {
		w.err = json.Indent(&indented, w.b.Bytes(), "", "  ")
	}
	return indented.Bytes(), w.err
}

func (w *writing) value(v reflect.Value, f *form) {
	switch {
	case f.fields != nil:
		w.object(v, f)
	case v.Kind() == reflect.Slice:
		w.between('[', ']', v.Len(), func(i int) { w.value(v.Index(i), f.entry) })
	case v.Kind() == reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		w.between('{', '}', len(keys), func(i int) { w.member(keys[i].String(), v.MapIndex(keys[i]), f.entry) })
	case isText(v.Type()):
		w.scalar(textOf(v))
	default:
		w.scalar(v.Interface())
	}
}

func (w *writing) scalar(v any) {
	if err := w.encoder.Encode(v); err != nil && w.err == nil {
		w.err = err
	}
}

// between writes n entries, separated by commas, between two delimiters.
func (w *writing) between(first, last byte, n int, entry func(i int)) {
	w.b.WriteByte(first)
	for i := range n {
		if i > 0 {
			w.b.WriteByte(',')
		}
		entry(i)
	}
	w.b.WriteByte(last)
}

func (w *writing) member(name string, v reflect.Value, f *form) {
	w.scalar(name)
	w.b.WriteByte(':')
	w.value(v, f)
}

func (w *writing) object(v reflect.Value, f *form) {
	var members []*field
	for i, stated := range f.stated(v) {
		if stated {
			members = append(members, &f.fields[i])
		}
	}
	w.between('{', '}', len(members), func(i int) { w.member(members[i].name, v.FieldByIndex(members[i].index), &members[i].form) })
}

// stated reports which fields of a struct must be in a file for the struct to be read
// back unchanged.
func (f *form) stated(v reflect.Value) []bool {
	stated := make([]bool, len(f.fields))
	for i := range f.fields {
		stated[i] = f.fields[i].implied || f.fields[i].stated(v.FieldByIndex(f.fields[i].index))
	}
	// Of the fields that others imply, the last ones are omitted first.
	for i := range slices.Backward(f.fields) {
		if index := f.fields[i].index; f.fields[i].implied {
			stated[i] = false
			without := reflect.New(v.Type()).Elem()
			without.Set(v)
			f.fill(without, stated)
			stated[i] = !without.FieldByIndex(index).Equal(v.FieldByIndex(index))
		}
	}
	return stated
}

func (f *field) stated(v reflect.Value) bool {
	switch {
	case f.required:
		return true
	case f.fields == nil && isText(f.typ):
		return textOf(v) != ""
	case f.entry != nil:
		return v.Len() > 0 || f.always && !v.IsNil()
	}
	return f.always || !v.Equal(f.otherwise)
}
