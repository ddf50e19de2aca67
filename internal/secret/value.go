package secret

import (
	"encoding"
	"errors"
	"reflect"
)

// Value returns a value of any type with all its strings and errors cleaned. The
// value itself is not changed: changed parts are copied. Unexported fields are
// left unchanged.
func Value[T any](s *Set, value T) T {
	if s.matcher() == nil {
		return value
	}
	out := reflect.New(reflect.TypeFor[T]()).Elem()
	out.Set(s.cleaned(reflect.ValueOf(&value).Elem()))
	result, _ := reflect.TypeAssert[T](out) // it is one
	return result
}

var errorType = reflect.TypeFor[error]()

func (s *Set) cleaned(v reflect.Value) reflect.Value {
	switch v.Kind() { //nolint:exhaustive // the others hold no strings
	case reflect.String:
		return reflect.ValueOf(s.Clean(v.String())).Convert(v.Type())
	case reflect.Struct:
		if text, ok := s.cleanedText(v); ok {
			return text
		}
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(s.cleaned(v.Field(i)))
			}
		}
		return out
	case reflect.Slice:
		return s.cleanedSlice(v)
	case reflect.Pointer:
		if v.IsNil() || v.Type().Elem().Kind() != reflect.Struct {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(s.cleaned(v.Elem()))
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for key, one := range v.Seq2() {
			out.SetMapIndex(s.cleaned(key), s.cleaned(one))
		}
		return out
	case reflect.Interface:
		if err, ok := reflect.TypeAssert[error](v); ok && v.Type() == errorType && err != nil {
			return reflect.ValueOf(s.Error(err))
		}
	}
	return v
}

// cleanedText cleans a value that has the methods of a text, whatever fields it has; it
// returns false for other values.
func (s *Set) cleanedText(v reflect.Value) (reflect.Value, bool) {
	from, ok := reflect.TypeAssert[encoding.TextMarshaler](v)
	if !ok {
		return v, false
	}
	out := reflect.New(v.Type())
	to, ok := reflect.TypeAssert[encoding.TextUnmarshaler](out)
	if !ok {
		return v, false
	}
	text, err := from.MarshalText()
	cleaned := s.Clean(string(text))
	if err != nil || cleaned == string(text) || to.UnmarshalText([]byte(cleaned)) != nil {
		return v, true
	}
	return out.Elem(), true
}

func (s *Set) cleanedSlice(v reflect.Value) reflect.Value {
	if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
		return v
	}
	out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
	for i := range v.Len() {
		out.Index(i).Set(s.cleaned(v.Index(i)))
	}
	return out
}

// Error returns an error without the secrets in its text. errors.Is and errors.As
// still find the original.
func (s *Set) Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if cleaned := s.Clean(text); cleaned != text {
		return &cleanError{text: cleaned, err: err}
	}
	return err
}

// cleanError is an error with a cleaned text.
type cleanError struct {
	text string
	err  error
}

// Error implements error.
func (e *cleanError) Error() string { return e.text }

// Is implements the method that errors.Is calls. There is no Unwrap, which
// would reveal the original.
func (e *cleanError) Is(target error) bool { return errors.Is(e.err, target) }

// As implements the method that errors.As calls.
func (e *cleanError) As(target any) bool { return errors.As(e.err, target) }
