package render

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestTheCacheForgetsWhatTwoRenderingsDidNotUse(t *testing.T) {
	f := &federation.Federation{
		Clusters: []federation.Cluster{{Name: "a"}, {Name: "b"}},
		Apps:     []federation.App{{Name: "web", Path: "web"}},
	}
	files := func(n int) fstest.MapFS {
		return fstest.MapFS{
			"web/base/kustomization.yaml":       {Data: fmt.Appendf(nil, "resources: [a.yaml]\ncommonAnnotations: {revision: %q}\n", fmt.Sprint(n))},
			"web/base/a.yaml":                   {Data: []byte("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n")},
			"web/clusters/b/kustomization.yaml": {Data: []byte("resources: [../../base]\n")},
		}
	}
	r := New(Options{})
	for n := range 10 {
		if bundles, _ := r.Render(t.Context(), federation.Snapshot{Files: files(n)}, f, nil); bundles[1].Err != nil {
			t.Fatal(bundles[1].Err)
		}
	}
	if len(r.cache.builds) != 4 || len(r.cache.bases) != 2 || len(r.cache.folders) != 2 {
		t.Errorf("after ten revisions the cache holds %d builds, %d bases and %d folders; want 4, 2 and 2: those of the last two",
			len(r.cache.builds), len(r.cache.bases), len(r.cache.folders))
	}
}

func TestAFailureIsNotRemembered(t *testing.T) {
	f := &federation.Federation{Clusters: []federation.Cluster{{Name: "a"}}, Apps: []federation.App{{Name: "web", Path: "web"}}}
	files := fstest.MapFS{"web/a.yaml": {Data: []byte("kind: x")}}
	r := New(Options{})
	if bundles, _ := r.Render(t.Context(), federation.Snapshot{Files: files}, f, nil); bundles[0].Err == nil {
		t.Fatal("want an error")
	}
	if len(r.cache.builds) != 0 {
		t.Errorf("the cache holds %d builds, want none", len(r.cache.builds))
	}
}

func TestKustomizeMayWriteNothing(t *testing.T) {
	b := newBuildFS(t.Context(), newFiles(fstest.MapFS{"a/b.yaml": {Data: []byte("x")}}, 100), Limits{}.withDefaults(), map[string][]byte{"a/made.yaml": []byte("y")})
	_, open := b.Open("/a/b.yaml")
	_, create := b.Create("/a/c")
	for name, err := range map[string]error{
		"Open": open, "Create": create, "Mkdir": b.Mkdir("/c"), "MkdirAll": b.MkdirAll("/c/d"),
		"RemoveAll": b.RemoveAll("/a"), "WriteFile": b.WriteFile("/a/b.yaml", nil),
	} {
		if !errors.Is(err, errReadOnly) {
			t.Errorf("%s = %v, want %v", name, err, errReadOnly)
		}
	}
	for name, want := range map[string]string{"/a/b.yaml": "x", "/a/made.yaml": "y", "/../../a/b.yaml": "x"} {
		if got, err := b.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("ReadFile(%s) = %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := b.ReadFile("/etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile of what is not in the repository = %v, want %v", err, fs.ErrNotExist)
	}
	if dir, file, err := b.CleanedAbs("/a/made.yaml"); err != nil || dir != "/a" || file != "made.yaml" {
		t.Errorf("CleanedAbs = %q, %q, %v", dir, file, err)
	}
}

func TestRemoteEntriesAreKnownByHowTheyBegin(t *testing.T) {
	for entry, want := range map[string]bool{
		"https://example.com/a":         true,
		"HTTP://example.com/a":          true,
		"http:example.com":              true,
		"git::https://example.com":      true,
		"GIT::github.com/a/b":           true,
		"github.com/a/b":                true,
		"GitHub.com:a/b":                true,
		"git@example.com:a/b":           true,
		"user-1@host/path":              true,
		"ssh://host/a":                  true,
		"file:///etc":                   true,
		"sub/https://x":                 true,
		"../base":                       false,
		"example.com/a":                 false,
		"deploy.yaml":                   false,
		"apps/a@b.yaml":                 false,
		"gitlab/deploy.yaml":            false,
		"kind: A\nurl: https://a.b/c@d": true, // as a path; as text it is not
	} {
		if got := isRemote(entry); got != want {
			t.Errorf("isRemote(%q) = %t, want %t", entry, got, want)
		}
	}
	if fetched("kind: A\nurl: https://a.b/c@d") {
		t.Error("text with a URL in it is taken for one")
	}
}

func FuzzDecodeNeverPanics(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{kind: A}, 1, null]\n"))
	f.Add([]byte("a: &a {b: *a}\n---\n- x\n---\nkind: XList\nitems: 1"))
	f.Add([]byte("metadata: {annotations: [], labels: {a: 1}, name: /, generateName: x}\nkind: Ingress"))
	f.Fuzz(func(t *testing.T, data []byte) {
		manifests, err := newFiles(fstest.MapFS{}, 1<<20).manifestsIn("a.yaml", data)
		if err != nil {
			return
		}
		for _, m := range manifests {
			if len(check(m.content)) > 0 {
				continue
			}
			o, err := federation.NewObject(m.content, m.file)
			if err != nil {
				t.Fatalf("what was checked cannot be encoded: %v", err)
			}
			if o.Ref != m.ref() {
				t.Errorf("ref = %s, want %s", m.ref(), o.Ref)
			}
			if ref, err := federation.ParseObjectRef(o.Ref.String()); err != nil || ref != o.Ref {
				t.Errorf("ParseObjectRef(%q) = %+v, %v", o.Ref, ref, err)
			}
			content, err := contentOf(o.JSON)
			if err != nil {
				t.Fatal(err)
			}
			again, err := federation.NewObject(content, m.file)
			if err != nil || !bytes.Equal(again.JSON, o.JSON) {
				t.Errorf("decoded and encoded again it is %s, %v, want %s", again.JSON, err, o.JSON)
			}
		}
	})
}
