package federation

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// A form is how a type is written in a file, by the tags of its fields:
//
//	file:"NAME,OPTION,…"  the field's name. A field without the tag is not in the file,
//	                      and the fields of one without a name stand in its place.
//	default:"VALUE"       what the field is where the file leaves it out; its zero value
//	                      unless given.
//	sort:"NAME …"         the order of a list, by its entries' fields; by the entries
//	                      themselves where there is no name.
//	ref:"NAME …"          an ObjectRef is written as these fields, and not as one text.
//	enum:"VALUE …", doc:"…"  what the schema says of it.
//
// The options are
//
//	required  the file must have the field.
//	always    the field is written even if it is the default; a list, if it is not nil.
//	implied   what the field is where it is left out depends on the others: fill, a
//	          method of its struct, sets it.
//
// Texts are written whenever they are not empty, and times, ObjectRefs and
// untrusted.Texts are texts.
type form struct {
	fields []field // of a struct that is no text
	parts  [][]int // of a struct: the indexes of those whose fields stand in its place
	entry  *form   // of a list or a map
	sorted bool    // of a list
	order  [][]int // of a list that is sorted: the indexes of its entries' fields
}

// field is one field of a struct in a file.
type field struct {
	form

	name      string
	index     []int
	typ       reflect.Type
	tag       reflect.StructTag
	otherwise reflect.Value // where the file leaves it out

	required, always, implied bool
}

// A filler sets those of its implied fields that the file does not give, and whatever
// the file says only by what it gives.
type filler interface {
	fill(given func(name string) bool)
}

// formOf reads the form of a type from its tags, for a field with this tag.
func formOf(t reflect.Type, tag reflect.StructTag) form {
	switch {
	case isText(t):
		if names, ok := tag.Lookup("ref"); ok {
			return refForm(strings.Fields(names))
		}
	case t.Kind() == reflect.Struct:
		return structForm(t)
	case t.Kind() == reflect.Map:
		entry := formOf(t.Elem(), tag)
		return form{entry: &entry}
	case t.Kind() == reflect.Slice:
		entry := formOf(t.Elem(), "")
		f := form{entry: &entry}
		var names string
		if names, f.sorted = tag.Lookup("sort"); f.sorted {
			for name := range strings.FieldsSeq(names) {
				f.order = append(f.order, entry.field(name).index)
			}
		}
		return f
	}
	return form{}
}

func structForm(t reflect.Type) form {
	f := form{parts: [][]int{nil}}
	for in := range t.Fields() {
		tag, ok := in.Tag.Lookup("file")
		if !ok {
			continue
		}
		options := strings.Split(tag, ",")
		one := field{
			form: formOf(in.Type, in.Tag), name: options[0], index: in.Index, typ: in.Type, tag: in.Tag,
			otherwise: otherwise(in),
			required:  slices.Contains(options, "required"), always: slices.Contains(options, "always"), implied: slices.Contains(options, "implied"),
		}
		if one.name != "" {
			f.fields = append(f.fields, one)
			continue
		}
		for _, inner := range one.fields {
			inner.index = slices.Concat(in.Index, inner.index)
			f.fields = append(f.fields, inner)
		}
		for _, part := range one.parts {
			f.parts = append(f.parts, slices.Concat(in.Index, part))
		}
	}
	return f
}

// refForm is the form of an ObjectRef with some of its fields.
func refForm(names []string) form {
	all := structForm(reflect.TypeFor[ObjectRef]())
	f := form{parts: all.parts}
	for _, name := range names {
		f.fields = append(f.fields, *all.field(name))
	}
	return f
}

// field returns the field of that name, which there must be: only tags name fields.
func (f *form) field(name string) *field {
	return &f.fields[slices.IndexFunc(f.fields, func(one field) bool { return one.name == name })]
}

func otherwise(in reflect.StructField) reflect.Value {
	v := reflect.New(in.Type).Elem()
	switch text := in.Tag.Get("default"); in.Type.Kind() { //nolint:exhaustive // No others have defaults.
	case reflect.Bool:
		v.SetBool(text == "true")
	case reflect.String:
		v.SetString(text)
	}
	return v
}

// fill lets the parts of a struct set what the file does not give.
func (f *form) fill(v reflect.Value, given []bool) {
	// The struct itself is the first part, and what it is made of comes before it.
	for _, part := range slices.Backward(f.parts) {
		if one, ok := reflect.TypeAssert[filler](v.FieldByIndex(part).Addr()); ok {
			one.fill(func(name string) bool {
				return given[slices.IndexFunc(f.fields, func(one field) bool { return one.name == name })]
			})
		}
	}
}

// isText reports whether values of a type are written as one text.
func isText(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[untrusted.Text](), reflect.TypeFor[ObjectRef]():
		return true
	}
	return t.Kind() == reflect.String
}

// textOf returns the text of a value that is written as one.
func textOf(v reflect.Value) string {
	switch text := v.Interface().(type) {
	case time.Time:
		if text.IsZero() {
			return ""
		}
		return text.UTC().Format(time.RFC3339Nano)
	case untrusted.Text:
		return text.String()
	case ObjectRef:
		return text.String()
	}
	return v.String()
}
