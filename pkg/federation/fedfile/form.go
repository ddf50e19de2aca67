package fedfile

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A form describes how a type is encoded in a file. The tags of a struct's fields define it:
//
//	file:"NAME,OPTION,…"  the field's name. A field without this tag is not in the file.
//	                      A field with an empty name is replaced by its own fields. In a
//	                      file that is only read, the name may be a path: "spec.apps".
//	default:"VALUE"       the value if the file omits the field, instead of the zero value.
//	sort:"NAME …"         the list is sorted by these fields of its entries, or, without
//	                      a name, by the entries themselves.
//	ref:"NAME …"          the ObjectRef is encoded as these fields and not as one text.
//	true:"VALUE"          the bool is encoded as this text if it is true.
//	enum:"VALUE …"        the values that the schema allows.
//	doc:"…"               the description in the schema.
//
// The options are
//
//	required  the file must have the field.
//	always    the field is written even if it has its default; a list, if it is not nil.
//	implied   the value of an omitted field depends on other fields: the struct has a
//	          filler, which sets it.
//
// Times, ObjectRefs, untrusted.Texts and strings are texts. A text is written if it is
// not empty, whatever its default.
type form struct {
	fields []field // of a struct that is not a text
	parts  [][]int // of a struct: the indexes of itself and of the structs replaced by their fields
	entry  *form   // of a list or a map
	own    bool    // the type has a reader
	sorted bool    // of a list
	order  [][]int // of a sorted list: the indexes of its entries' fields
}

// field is one field of a struct in a file.
type field struct {
	form

	name      string
	path      []string // the name, split at its dots
	index     []int
	typ       reflect.Type
	tag       reflect.StructTag
	otherwise reflect.Value // the value if the file omits it

	required, always, implied bool
}

// formOf returns the form of a type, for a field with this tag.
func formOf(t reflect.Type, tag reflect.StructTag) form {
	switch {
	case t.Kind() == reflect.Pointer:
		return formOf(t.Elem(), tag)
	case isText(t):
		if names, ok := tag.Lookup("ref"); ok {
			return refForm(strings.Fields(names))
		}
	case readers[t] != nil:
		return form{own: true}
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
				f.order = append(f.order, entry.fields[entry.position(name)].index)
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
			form: formOf(in.Type, in.Tag), name: options[0], path: strings.Split(options[0], "."),
			index: in.Index, typ: in.Type, tag: in.Tag,
			required: slices.Contains(options, "required"), always: slices.Contains(options, "always"), implied: slices.Contains(options, "implied"),
		}
		one.otherwise = otherwise(in, &one.form)
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

// refForm returns the form of an ObjectRef with only the fields of these names.
func refForm(names []string) form {
	all := structForm(reflect.TypeFor[federation.ObjectRef]())
	f := form{parts: all.parts}
	for _, name := range names {
		f.fields = append(f.fields, all.fields[all.position(name)])
	}
	return f
}

// position returns the index in fields of the field with this name. Names come only from
// tags and fillers, so the field exists.
func (f *form) position(name string) int {
	return slices.IndexFunc(f.fields, func(one field) bool { return one.name == name })
}

// otherwise returns the default of a field.
func otherwise(in reflect.StructField, f *form) reflect.Value {
	v := reflect.New(in.Type).Elem()
	if text, ok := in.Tag.Lookup("default"); ok {
		var raw any = text
		if number, err := strconv.ParseInt(text, 10, 64); err == nil {
			raw = number
		} else if in.Type.Kind() == reflect.Bool {
			raw = text == "true"
		}
		(&reading{}).value(v, raw, f, nil)
	}
	return v
}

// fill calls the fillers of a struct, itself last, to set what is not given.
func (f *form) fill(v reflect.Value, given []bool) {
	for _, part := range slices.Backward(f.parts) {
		to := v.FieldByIndex(part)
		if fill := fillers[to.Type()]; fill != nil {
			fill(to.Addr().Interface(), func(name string) bool { return given[f.position(name)] })
		}
	}
}

// isText reports whether values of a type are encoded as one text.
func isText(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[untrusted.Text](), reflect.TypeFor[federation.ObjectRef]():
		return true
	}
	return t.Kind() == reflect.String
}

// textOf returns the text of a value for which isText is true.
func textOf(v reflect.Value) string {
	switch text := v.Interface().(type) {
	case time.Time:
		if text.IsZero() {
			return ""
		}
		return text.UTC().Format(time.RFC3339Nano)
	case untrusted.Text:
		return text.String()
	case federation.ObjectRef:
		return text.String()
	}
	return v.String()
}
