package object

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Forms remembers what objects look like when they are sent: with the label of
// their inventory. One Forms may serve the appliers of all clusters, which
// mostly send the same.
type Forms struct {
	mu       sync.Mutex // protects recent and earlier
	recent   map[formKey]form
	earlier  map[formKey]form
	capacity int
}

type formKey struct{ digest, partOf, namespace string }

// form is the JSON of an object in two parts. Between them is the end of its
// metadata, where a request may say which state of the object it is about.
type form struct{ head, tail []byte }

// formsKept is how many forms are surely remembered; at most twice as many are.
const formsKept = 2048

// NewForms makes an empty memory.
func NewForms() *Forms {
	return &Forms{recent: map[formKey]form{}, capacity: formsKept}
}

// Of gives what is sent for the object.
func (f *Forms) Of(d *Desired) (form, error) {
	key := formKey{d.Object.Digest, d.PartOf, d.Ref.Namespace}
	f.mu.Lock()
	made, ok := f.recent[key]
	if !ok {
		made, ok = f.earlier[key]
	}
	f.mu.Unlock()
	if ok {
		return made, nil
	}
	made, err := newForm(d.Unstructured())
	if err != nil {
		return form{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.recent) >= f.capacity {
		f.recent, f.earlier = map[formKey]form{}, f.recent
	}
	f.recent[key] = made
	return made, nil
}

// newForm encodes an object of our making, whose metadata has a name and no uid.
func newForm(u *unstructured.Unstructured) (form, error) {
	mark := rand.Text() // nothing in the object is like it
	u.SetUID(types.UID(mark))
	data, err := json.Marshal(u.Object)
	if err != nil {
		return form{}, fmt.Errorf("encode: %w", err)
	}
	// Encoding sorts names, and the last in metadata is uid.
	head, tail, ok := bytes.Cut(data, []byte(`,"uid":"`+mark+`"`))
	if !ok {
		return form{}, errors.New("encode: metadata has fields that no object has")
	}
	return form{head: head, tail: tail}, nil
}

// About gives the JSON for a request about any state of the object or, where uid
// or version say so, about none but that one: others answer with a conflict.
func (f form) About(uid types.UID, version string) []byte {
	out := bytes.Clone(f.head)
	if uid != "" {
		out = fmt.Appendf(out, `,"uid":%q`, uid)
	}
	if version != "" {
		out = fmt.Appendf(out, `,"resourceVersion":%q`, version)
	}
	return append(out, f.tail...)
}
