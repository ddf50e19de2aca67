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

// Forms caches the JSON of objects as they are sent: with the label of their inventory.
// The appliers of all clusters may share one Forms, since they mostly send the same.
type Forms struct {
	mu       sync.Mutex // protects recent and earlier
	recent   map[formKey]form
	earlier  map[formKey]form
	capacity int
}

type formKey struct{ digest, partOf, namespace string }

// form is the JSON of an object in two parts. Between them is the end of its metadata,
// where a request may name the uid and resourceVersion that it requires.
type form struct{ head, tail []byte }

// formsKept is how many forms are retained at least; at most twice as many are.
const formsKept = 2048

// NewForms returns an empty cache.
func NewForms() *Forms {
	return &Forms{recent: map[formKey]form{}, capacity: formsKept}
}

// Of returns the form of the object.
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

// newForm encodes an object whose metadata has a name and no uid.
func newForm(u *unstructured.Unstructured) (form, error) {
	mark := rand.Text() // occurs nowhere in the object
	u.SetUID(types.UID(mark))
	data, err := json.Marshal(u.Object)
	if err != nil {
		return form{}, fmt.Errorf("encode: %w", err)
	}
	// The encoder sorts names, and uid is the last one in metadata.
	head, tail, ok := bytes.Cut(data, []byte(`,"uid":"`+mark+`"`))
	if !ok {
		return form{}, errors.New("encode: metadata has fields that no object has")
	}
	return form{head: head, tail: tail}, nil
}

// About returns the JSON of a request. With a uid or a version, the request applies
// only to the object with that uid or version; any other is answered with a conflict.
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
