package bounds

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/pkg/failure"
)

// Page is a page of a list without its objects.
type Page struct {
	ResourceVersion string
	Continue        string // empty on the last page
	Objects         int    // number of visited objects
}

// List requests a page of a list, and calls visit with each object as it arrives, so
// that a page takes no more memory than one object. If visit fails, so does the page.
// Objects visited before a failure are valid.
//
// A client without a Guard reads the whole page first.
func List(ctx context.Context, from dynamic.ResourceInterface, o metav1.ListOptions, visit func(*unstructured.Unstructured) error) (Page, error) {
	v := &visiting{visit: visit}
	list, err := from.List(context.WithValue(ctx, visitingKey{}, v), o)
	if v.err != nil {
		return Page{}, v.err // more specific than the client's error
	}
	if err != nil {
		return Page{}, err
	}
	for i := range list.Items {
		if err := v.take(&list.Items[i]); err != nil {
			return Page{}, err
		}
	}
	page := Page{list.GetResourceVersion(), list.GetContinue(), v.objects}
	if len(page.Continue) > tokenMost || len(page.ResourceVersion) > tokenMost {
		return Page{}, failure.Misbehaves("answers a list with a continue token of more than %s", size(tokenMost))
	}
	return page, nil
}

// tokenMost bounds a list's continue token, in bytes.
const tokenMost = 16 << 10

// visiting is a page that is being read.
type visiting struct {
	visit   func(*unstructured.Unstructured) error
	objects int
	err     error // from visit
}

type visitingKey struct{}

func visitingOf(req *http.Request) *visiting {
	v, _ := req.Context().Value(visitingKey{}).(*visiting)
	return v
}

func (v *visiting) take(u *unstructured.Unstructured) error {
	if v.objects++; v.objects > Objects {
		v.err = failure.Misbehaves("has more than %d objects on a page of a list", Objects)
	} else {
		v.err = v.visit(u)
	}
	return v.err
}

// visited is the body of a page. Its first read visits the objects; what it returns is
// the page without them.
type visited struct {
	io.ReadCloser
	guard *Guard
	req   *http.Request
	page  *visiting
	rest  *bytes.Reader // nil before the first read
}

// Read implements io.Reader.
func (b *visited) Read(p []byte) (int, error) {
	if b.rest == nil {
		rest, err := b.readPage()
		if err != nil {
			return 0, err
		}
		b.rest = bytes.NewReader(rest)
	}
	return b.rest.Read(p)
}

// readPage passes the objects to visit and returns the list without them.
func (b *visited) readPage() ([]byte, error) {
	from := &rationed{from: b.ReadCloser, left: ObjectBytes}
	d := json.NewDecoder(from)
	list, size := map[string]json.RawMessage{}, 0
	if err := expect(d, '{'); err != nil {
		return nil, b.explain(err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, b.explain(err)
		}
		name, _ := key.(string) // keys are strings
		if name == "items" {
			if err := b.readItems(d, from, list); err != nil {
				return nil, b.explain(err)
			}
			continue
		}
		value, err := b.value(d, from)
		if err != nil {
			return nil, b.explain(err)
		}
		if size += len(name) + len(value); size > ObjectBytes {
			return nil, b.tooLarge(count{bytes: size})
		}
		list[name] = value
	}
	if _, err := d.Token(); err != nil { // the brace
		return nil, b.explain(err)
	}
	list["items"] = json.RawMessage("[]")
	return json.Marshal(list)
}

func (b *visited) readItems(d *json.Decoder, from *rationed, list map[string]json.RawMessage) error {
	if t, err := d.Token(); err != nil || t == nil {
		return err // null means none
	} else if t != json.Delim('[') {
		return fmt.Errorf("the items of a list are a %T", t)
	}
	for d.More() {
		raw, err := b.value(d, from)
		if err != nil {
			return err
		}
		u := &unstructured.Unstructured{}
		if err := utiljson.Unmarshal(raw, &u.Object); err != nil { // as client-go does
			return err
		}
		if err := name(u, list); err != nil {
			return err
		}
		if err := b.page.take(u); err != nil {
			return err
		}
	}
	_, err := d.Token() // the bracket
	return err
}

// value reads one whole value, up to the limit for an object.
func (b *visited) value(d *json.Decoder, from *rationed) (json.RawMessage, error) {
	from.left = ObjectBytes
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return nil, err
	}
	var has count
	if has.add(raw, false); has.exceeds(objectLimit) {
		return nil, b.tooLarge(has)
	}
	return raw, nil
}

func (b *visited) tooLarge(has count) error {
	return b.guard.caught(b.req, failure.Misbehaves("answers %s with an object of more than %s", b.guard.name(b.req), objectLimit.figure(has)))
}

// explain returns the error for an exceeded limit. An early io.EOF becomes an
// unexpected one, so that readers do not treat it as the end.
func (b *visited) explain(err error) error {
	switch {
	case errors.Is(err, errRation):
		return b.tooLarge(count{bytes: ObjectBytes + 1})
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// name sets the kind of an object that lacks it, from the kind of the list. An API
// server writes the kind before the objects, or in each of them.
func name(u *unstructured.Unstructured, list map[string]json.RawMessage) error {
	if u.GetKind() != "" && u.GetAPIVersion() != "" {
		return nil
	}
	var kind, version string
	if json.Unmarshal(list["kind"], &kind) != nil || json.Unmarshal(list["apiVersion"], &version) != nil {
		return errors.New("the objects of a list have no kind")
	}
	if u.GetKind() == "" {
		u.SetKind(strings.TrimSuffix(kind, "List"))
	}
	if u.GetAPIVersion() == "" {
		u.SetAPIVersion(version)
	}
	return nil
}

func expect(d *json.Decoder, want json.Delim) error {
	if t, err := d.Token(); err != nil {
		return err
	} else if t != want {
		return fmt.Errorf("a list begins with %v, want %v", t, want)
	}
	return nil
}

// rationed limits reading to the bytes that are left.
type rationed struct {
	from io.Reader
	left int
}

// errRation is returned when nothing is left.
var errRation = errors.New("a value is too long")

// Read implements io.Reader.
func (r *rationed) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errRation
	}
	n, err := r.from.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}
