package render

import (
	"bytes"
	"encoding/json"

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
	o, err := federation.NewObject(content, file(ref))
	if err != nil {
		return nil, []error{err}
	}
	return o, nil
}
