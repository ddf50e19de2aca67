package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// DefaultNamespace is where a namespaced object goes that names no namespace,
// whatever the kubeconfig's context says.
const DefaultNamespace = "default"

// Content decodes an object. Numbers stay as they are written, so that encoding
// it again gives the same bytes.
func Content(data []byte) (map[string]any, error) {
	var content map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err := decoder.Decode(&content)
	return content, err
}

// newObject makes an object that an API server may take.
func newObject(content map[string]any, file string) (*federation.Object, error) {
	number, null := odd(content)
	if null {
		Settle(content)
	}
	yield(content)
	if number != "" {
		return nil, &Error{File: file, Field: Ref(content).String(), Reason: limit.Quote(number) + " is no number that an API server reads"}
	}
	o, err := federation.NewObject(content, file)
	if err != nil {
		return nil, err
	}
	if size := encodedSize(o.JSON); size > limit.ObjectBytes {
		return nil, &Error{
			File: file, Field: o.Ref.String(), Exceeds: true,
			Reason: fmt.Sprintf("the object has %s bytes, and an API server takes %s", limit.Number(size), limit.Number(limit.ObjectBytes)),
			Remedy: "split it, or keep the content where the program can fetch it",
		}
	}
	return o, nil
}

// odd returns a number that is beyond those of 64 bits, empty for none, and whether
// anything is null.
func odd(value any) (number string, null bool) {
	switch value := value.(type) {
	case nil:
		return "", true
	case json.Number:
		if _, err := value.Float64(); err != nil {
			return value.String(), false
		}
	case map[string]any:
		for _, one := range value {
			n, nothing := odd(one)
			number, null = cmp.Or(number, n), null || nothing
		}
	case []any:
		for _, one := range value {
			n, nothing := odd(one)
			number, null = cmp.Or(number, n), null || nothing
		}
	}
	return number, null
}

// encodedSize is the size of an object as others encode it: Go writes six bytes for
// each of < > &.
func encodedSize(data []byte) int {
	if len(data) <= limit.ObjectBytes {
		return len(data)
	}
	return len(data) - 5*bytes.Count(data, []byte(`\u00`))
}

// Decoded makes an Object of the JSON of another, which another process rendered, and
// holds it to what this package holds its own to: that process may have been taken
// over. The JSON has to be as NewObject writes it, since whoever looks for a word in it
// is not to miss it for its spelling.
func Decoded(data []byte, file string) (*federation.Object, error) {
	content, err := Content(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if found := check(content); len(found) > 0 {
		return nil, &Error{File: file, Field: found[0].field(), Reason: found[0].reason}
	}
	o, err := newObject(content, file)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(o.JSON, data) {
		return nil, &Error{File: file, Field: o.Ref.String(), Reason: "the object is not written as fedsync writes objects"}
	}
	return o, nil
}

// Object judges the content of an object, and makes an Object of it that comes from file.
func Object(content map[string]any, file func(federation.ObjectRef) string) (*federation.Object, []error) {
	ref := Ref(content)
	if found := check(content); len(found) > 0 {
		errs := make([]error, len(found))
		for i, one := range found {
			errs[i] = &Error{File: file(ref), Field: ref.String() + " " + one.field(), Reason: one.reason, Remedy: one.remedy}
		}
		return nil, errs
	}
	o, err := newObject(content, file(ref))
	if err != nil {
		return nil, []error{err}
	}
	return o, nil
}
