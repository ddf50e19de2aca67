package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// DefaultNamespace is the namespace of a namespaced object that names none,
// whatever the kubeconfig's context states.
const DefaultNamespace = "default"

// Content decodes an object. Numbers stay as they are written, so that encoding
// it again produces the same bytes.
func Content(data []byte) (map[string]any, error) {
	var content map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err := decoder.Decode(&content)
	return content, err
}

// newObject returns an object that an API server may accept.
func newObject(content map[string]any, file string) (*federation.Object, error) {
	number, null := odd(content)
	if null {
		Settle(content)
	}
	dropPlaceholders(content)
	if number != "" {
		return nil, &Error{File: file, Field: Ref(content).String(), Reason: limit.Quote(number) + " is not a number that an API server accepts"}
	}
	o, err := federation.NewObject(content, file)
	if err != nil {
		return nil, err
	}
	if size := encodedSize(o.JSON); size > limit.ObjectBytes {
		return nil, &Error{
			File: file, Field: o.Ref.String(), Exceeds: true,
			Reason: fmt.Sprintf("the object has %s bytes, more than the %s that an API server accepts", limit.Number(size), limit.Number(limit.ObjectBytes)),
			Remedy: "split it, or store the content where the program can fetch it",
		}
	}
	return o, nil
}

// odd returns a number outside the range of 64 bits, empty for none, and whether
// there is a null.
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

// encodedSize returns the size of an object as other encoders write it: Go writes
// six bytes for each of < > &.
func encodedSize(data []byte) int {
	if len(data) <= limit.ObjectBytes {
		return len(data)
	}
	return len(data) - 5*bytes.Count(data, []byte(`\u00`))
}

// Decoded returns the Object with the given JSON, which another process rendered. It
// validates it like an object that this package built, since that process may be
// compromised. The JSON must be encoded as NewObject encodes it, so that a search for a
// word in it cannot be evaded by another spelling.
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
		return nil, &Error{File: file, Field: o.Ref.String(), Reason: "the object is not encoded as fedsync encodes objects"}
	}
	return o, nil
}

// Object validates the content of an object, and returns it as an Object from file.
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
