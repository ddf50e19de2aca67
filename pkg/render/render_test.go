package render_test

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// Each archive in testdata/render is a repository, what its clusters should run
// (want/<cluster>.yaml, with the file that each object came from), and the
// expected findings (want/findings).
func TestRepositoriesRenderAsTheyShould(t *testing.T) {
	names, err := filepath.Glob("testdata/render/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, want := fstest.MapFS{}, map[string]string{}
			kept := archive.Files[:0:0]
			for _, f := range archive.Files {
				if strings.HasPrefix(f.Name, "want/") {
					want[f.Name] = string(f.Data)
					continue
				}
				kept = append(kept, f)
				files[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			got := renderAll(t, files)
			if *update {
				archive.Files = kept
				for _, name := range slices.Sorted(maps.Keys(got)) {
					archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(got[name])})
				}
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func renderAll(t *testing.T, files fs.FS) map[string]string {
	t.Helper()
	snapshot := federation.Snapshot{Files: files}
	f, err := render.Load(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	_, findings := render.New(render.Options{}).Render(t.Context(), snapshot, f, func(c federation.Cluster, bundles []federation.Bundle) {
		var b strings.Builder
		for _, bundle := range bundles {
			if bundle.Err != nil {
				fmt.Fprintf(&b, "# %s: not rendered\n", bundle.App)
			}
			for _, o := range bundle.Objects {
				data, err := yaml.JSONToYAML(o.JSON)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "--- # %s: %s of %s\n%s", bundle.App, o.Ref, o.File, data)
			}
		}
		got["want/"+c.Name+".yaml"] = b.String()
	})
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s %s: %s\n    %s\n", f.Severity, f.ID, f.App, f, f.Remedy)
	}
	got["want/findings"] = b.String()
	return got
}
