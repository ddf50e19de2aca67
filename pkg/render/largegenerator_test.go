package render

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
)

func TestFilesThatMakeAnObjectTooLargeAreRefusedUnread(t *testing.T) {
	const half = limit.ObjectBytes/2 + 1
	for _, kind := range []string{"configMap", "secret"} {
		files := fstest.MapFS{
			"apps/a/kustomization.yaml": {Data: fmt.Appendf(nil, "%sGenerator:\n- {name: one, files: [f, g]}\n- {name: two, files: [f]}\n", kind)},
			"apps/a/f":                  {Data: []byte(strings.Repeat("x", half))},
			"apps/a/g":                  {Data: []byte(strings.Repeat("y", half))},
		}
		f := &federation.Federation{Clusters: []federation.Cluster{{Name: "c"}}, Apps: []federation.App{{Name: "a", Path: "apps/a"}}}
		bundles, _ := New(Options{}).Render(t.Context(), federation.Snapshot{Files: files}, f, nil)
		want := fmt.Sprintf("apps/a/kustomization.yaml:2: %sGenerator[0]: the files have 1,572,866 bytes, and an API server takes 1,572,864", kind)
		if err := bundles[0].Err; err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "[1]") {
			t.Errorf("error %v, want %q alone", err, want)
		}
	}
}
