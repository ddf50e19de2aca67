package fedfile

import (
	"cmp"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// A reading decodes a document by the form of the type that it is decoded to. The schema
// may have refused the document: a value of the wrong type is omitted, and the rest is
// decoded.
type reading struct {
	checker

	sorts []func() // one for each list to be sorted
}

// sort sorts the lists. It runs last, since mistakes name an entry by its index in the
// file.
func (r *reading) sort() {
	for _, sort := range r.sorts {
		sort()
	}
}

// value decodes one value, and reports whether that succeeded.
func (r *reading) value(v reflect.Value, raw any, f *form, at []string) bool {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return r.value(v.Elem(), raw, f, at)
	}
	if f.own {
		return r.accepted(readers[v.Type()](v.Addr().Interface(), raw), at)
	}
	switch raw := raw.(type) {
	case string:
		return f.fields == nil && isText(v.Type()) && r.text(v, raw, at)
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(raw)
			return true
		}
	case int64:
		return setInt(v, raw)
	case float64: // as in 1e3
		return float64(int64(raw)) == raw && setInt(v, int64(raw))
	case []any:
		if v.Kind() == reflect.Slice {
			r.list(v, raw, f, at)
			return true
		}
	case map[string]any:
		switch {
		case f.fields != nil:
			r.object(v, raw, f, at)
			return true
		case v.Kind() == reflect.Map:
			r.mapping(v, raw, f, at)
			return true
		}
	}
	return false
}

func setInt(v reflect.Value, n int64) bool {
	if !v.CanInt() || v.OverflowInt(n) {
		return false
	}
	v.SetInt(n)
	return true
}

func (r *reading) text(v reflect.Value, text string, at []string) bool {
	var err error
	switch to := v.Addr().Interface().(type) {
	case *time.Time:
		if *to, err = time.Parse(time.RFC3339, text); err != nil {
			err = fmt.Errorf("%q is not a valid time: write it as 2026-01-02T15:04:05Z", text)
		}
	case *untrusted.Text:
		*to = untrusted.Excerpt(text)
	case *federation.ObjectRef:
		*to, err = federation.ParseObjectRef(text)
	default:
		v.SetString(text)
	}
	return r.accepted(err, at)
}

// accepted reports whether err is nil, and otherwise records it as a mistake.
func (r *reading) accepted(err error, at []string) bool {
	if err != nil {
		r.problem(err.Error(), at...)
	}
	return err == nil
}

func (r *reading) list(v reflect.Value, raw []any, f *form, at []string) {
	v.Set(reflect.MakeSlice(v.Type(), len(raw), len(raw)))
	for i := range raw {
		r.value(v.Index(i), raw[i], f.entry, append(at, strconv.Itoa(i)))
	}
	if f.sorted && len(raw) > 1 {
		r.sorts = append(r.sorts, func() {
			sort.SliceStable(v.Interface(), func(i, j int) bool { return f.compare(v.Index(i), v.Index(j)) < 0 })
		})
	}
}

// compare orders the entries of a list.
func (f *form) compare(a, b reflect.Value) int {
	if len(f.order) == 0 {
		return compare(a, b)
	}
	for _, index := range f.order {
		if c := compare(a.FieldByIndex(index), b.FieldByIndex(index)); c != 0 {
			return c
		}
	}
	return 0
}

func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.Kind() == reflect.String:
		return strings.Compare(a.String(), b.String())
	}
	return a.Interface().(federation.ObjectRef).Compare(b.Interface().(federation.ObjectRef))
}

func (r *reading) mapping(v reflect.Value, raw map[string]any, f *form, at []string) {
	v.Set(reflect.MakeMapWithSize(v.Type(), len(raw)))
	for key, item := range raw {
		entry := reflect.New(v.Type().Elem()).Elem()
		r.value(entry, item, f.entry, append(at, key))
		v.SetMapIndex(reflect.ValueOf(key), entry)
	}
}

func (r *reading) object(v reflect.Value, raw map[string]any, f *form, at []string) {
	given := make([]bool, len(f.fields))
	for i := range f.fields {
		one := &f.fields[i]
		to := v.FieldByIndex(one.index)
		to.Set(one.otherwise)
		item, ok := lookup(raw, one.path)
		if word, isWord := one.tag.Lookup("true"); isWord {
			item = item == any(word)
		}
		if ok && !one.empty(item) {
			given[i] = r.value(to, item, &one.form, append(at, one.path...))
		}
	}
	f.fill(v, given)
}

// lookup returns the value at a path of keys.
func lookup(raw map[string]any, path []string) (any, bool) {
	for _, key := range path[:len(path)-1] {
		raw, _ = raw[key].(map[string]any)
	}
	item, ok := raw[path[len(path)-1]]
	return item, ok
}

// empty reports whether a value counts as omitted.
func (f *field) empty(raw any) bool {
	switch raw := raw.(type) {
	case string:
		return raw == "" && !f.implied
	case []any:
		return len(raw) == 0 && !f.always
	case map[string]any:
		return len(raw) == 0 && f.entry != nil
	}
	return false
}
