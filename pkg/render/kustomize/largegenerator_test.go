package kustomize

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/internal/limit"
)

func TestFilesTooLargeForAnObjectAreRefusedUnread(t *testing.T) {
	const half = limit.ObjectBytes/2 + 1
	for _, kind := range []string{"configMap", "secret"} {
		files := fstest.MapFS{
			"apps/a/kustomization.yaml": {Data: fmt.Appendf(nil, "%sGenerator:\n- {name: one, files: [f, g]}\n- {name: two, files: [f]}\n", kind)},
			"apps/a/f":                  {Data: []byte(strings.Repeat("x", half))},
			"apps/a/g":                  {Data: []byte(strings.Repeat("y", half))},
		}
		_, err := buildAlone(t.Context(), files, "apps/a")
		want := fmt.Sprintf("apps/a/kustomization.yaml:2: %sGenerator[0]: the files have 1,572,866 bytes, more than the 1,572,864", kind)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "[1]") {
			t.Errorf("error %v, want %q alone", err, want)
		}
	}
}
