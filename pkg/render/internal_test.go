package render

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/federation"
)

func TestTheCacheDropsWhatTwoRenderingsDidNotUse(t *testing.T) {
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
	if len(r.cache.builds) != 4 {
		t.Errorf("after ten revisions the cache holds %d builds, want 4: those of the last two", len(r.cache.builds))
	}
}

func TestAFailureIsNotCached(t *testing.T) {
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
