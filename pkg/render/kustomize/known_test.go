package kustomize

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/render/manifest"
)

func TestTheCacheDropsWhatTwoRevisionsDidNotUse(t *testing.T) {
	b := New(Limits{}, func(string, string) (func(), error) { return func() {}, nil })
	for n := range 10 {
		files := fstest.MapFS{
			"web/base/kustomization.yaml":       {Data: fmt.Appendf(nil, "resources: [a.yaml]\ncommonAnnotations: {revision: %q}\n", fmt.Sprint(n))},
			"web/base/a.yaml":                   {Data: []byte("apiVersion: v1\nkind: Service\nmetadata: {name: web}\n")},
			"web/clusters/b/kustomization.yaml": {Data: []byte("resources: [../../base]\ncommonAnnotations: {a: b}\n")},
		}
		r := b.Open(t.Context(), manifest.NewFiles(files, b.limits.FileBytes), func() bool { return false })
		if _, err := r.Build(Folder{Dir: "web/clusters/b", Base: "web/base"}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Build(Folder{Dir: "web/base", Base: "web/base"}); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	if len(b.known.bases) != 2 || len(b.known.folders) != 2 {
		t.Errorf("after ten revisions %d bases and %d folders are cached; want 2 of each: those of the last two", len(b.known.bases), len(b.known.folders))
	}
	if n := len(b.quick.(*quick).bases); n != 2 {
		t.Errorf("after ten revisions the shortcut knows %d bases, want 2", n)
	}
}
