package apply

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/federation"
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

// of gives what is sent for the object.
func (f *Forms) of(d *desired) (form, error) {
	key := formKey{d.object.Digest, d.partOf, d.ref.Namespace}
	f.mu.Lock()
	made, ok := f.recent[key]
	if !ok {
		made, ok = f.earlier[key]
	}
	f.mu.Unlock()
	if ok {
		return made, nil
	}
	made, err := newForm(d.unstructured())
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

// about gives the JSON for a request about any state of the object or, where uid
// or version say so, about none but that one: others answer with a conflict.
func (f form) about(uid types.UID, version string) []byte {
	out := bytes.Clone(f.head)
	if uid != "" {
		out = fmt.Appendf(out, `,"uid":%q`, uid)
	}
	if version != "" {
		out = fmt.Appendf(out, `,"resourceVersion":%q`, version)
	}
	return append(out, f.tail...)
}

// desired is one object that the cluster should run.
type desired struct {
	app      string
	partOf   string
	adoption federation.Adoption
	object   *federation.Object
	ref      federation.ObjectRef // as the cluster knows it

	// What nodePorts and want found out, once.
	ports     []servicePort
	portsRead bool
	wish      string
}

// want identifies what is to be sent: equal strings are equal requests.
func (d *desired) want() string {
	if d.wish == "" {
		d.wish = d.object.Digest + "/" + d.partOf
	}
	return d.wish
}

// unstructured makes what is sent: the rendered object with the label of its
// inventory, without what only an API server may say, and with a Secret's
// stringData as the data that it becomes, since a field that is never read back
// can be neither compared nor removed.
func (d *desired) unstructured() *unstructured.Unstructured {
	u := d.object.Unstructured()
	u.SetNamespace(d.ref.Namespace)
	if metadata, ok := u.Object["metadata"].(map[string]any); ok {
		// Not by SetLabels: it would drop labels that are no strings, and with
		// them the API server's word on them.
		labels, ok := metadata["labels"].(map[string]any)
		if !ok && metadata["labels"] == nil {
			labels = map[string]any{}
			metadata["labels"] = labels
		}
		if labels != nil {
			labels[inventory.LabelPartOf] = d.partOf
		}
	}
	for _, name := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"} {
		unstructured.RemoveNestedField(u.Object, "metadata", name)
	}
	if d.ref.GroupKind() == secretKind {
		joinStringData(u.Object)
	}
	return u
}

func joinStringData(object map[string]any) {
	text, ok := object["stringData"].(map[string]any)
	if !ok {
		return
	}
	data, ok := object["data"].(map[string]any)
	if !ok {
		if object["data"] != nil {
			return // not a map: the API server says so
		}
		data = map[string]any{}
	}
	for name, v := range text {
		s, ok := v.(string)
		if !ok {
			return
		}
		data[name] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	object["data"] = data
	delete(object, "stringData")
}
