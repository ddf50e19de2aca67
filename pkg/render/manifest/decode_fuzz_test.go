package manifest

import (
	"bytes"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/federation"
)

func FuzzDecodeNeverPanics(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{kind: A}, 1, null]\n"))
	f.Add([]byte("a: &a {b: *a}\n---\n- x\n---\nkind: XList\nitems: 1"))
	f.Add([]byte("metadata: {annotations: [], labels: {a: 1}, name: /, generateName: x}\nkind: Ingress"))
	f.Fuzz(func(t *testing.T, data []byte) {
		manifests, err := NewFiles(fstest.MapFS{}, 1<<20).Parse("a.yaml", data)
		if err != nil {
			return
		}
		for _, m := range manifests {
			if len(check(m.Content)) > 0 {
				continue
			}
			o, err := federation.NewObject(m.Content, m.File)
			if err != nil {
				t.Fatalf("a checked object cannot be encoded: %v", err)
			}
			if o.Ref != m.Ref() {
				t.Errorf("ref = %s, want %s", m.Ref(), o.Ref)
			}
			if ref, err := federation.ParseObjectRef(o.Ref.String()); err != nil || ref != o.Ref {
				t.Errorf("ParseObjectRef(%q) = %+v, %v", o.Ref, ref, err)
			}
			content, err := Content(o.JSON)
			if err != nil {
				t.Fatal(err)
			}
			again, err := federation.NewObject(content, m.File)
			if err != nil || !bytes.Equal(again.JSON, o.JSON) {
				t.Errorf("decoded and encoded again: %s, %v, want %s", again.JSON, err, o.JSON)
			}
		}
	})
}
