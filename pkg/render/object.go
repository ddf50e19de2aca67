package render

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

// contentOf decodes an object. Numbers stay as they are written, so that encoding
// it again gives the same bytes.
func contentOf(data []byte) (map[string]any, error) {
	var content map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	err := decoder.Decode(&content)
	return content, err
}

// newObject makes an object that an API server may take.
func newObject(content map[string]any, file string) (*federation.Object, error) {
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

// encodedSize is the size of an object as others encode it: Go writes six bytes for
// each of < > &.
func encodedSize(data []byte) int {
	if len(data) <= limit.ObjectBytes {
		return len(data)
	}
	return len(data) - 5*bytes.Count(data, []byte(`\u00`))
}

// objectOf makes an Object of what kustomize built, and judges it.
func objectOf(data []byte, file func(federation.ObjectRef) string) (*federation.Object, []error) {
	content, err := contentOf(data)
	if err != nil {
		return nil, []error{err}
	}
	ref := refOf(content)
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
