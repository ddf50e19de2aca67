package render_test

import (
	"os"
	"testing"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

func TestExamplesRender(t *testing.T) {
	const examples = "../../examples"
	entries, err := os.ReadDir(examples)
	if err != nil || len(entries) == 0 {
		t.Fatalf("read %s: %v, %d entries", examples, err, len(entries))
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			snapshot := federation.Snapshot{Files: os.DirFS(examples + "/" + e.Name())}
			f, err := render.Load(snapshot)
			if err != nil {
				t.Fatal(err)
			}
			bundles, findings := render.New(render.Options{}).Render(t.Context(), snapshot, f, nil)
			for _, finding := range findings {
				t.Errorf("finding: %s", finding)
			}
			if want := len(f.Clusters) * len(f.Apps); len(bundles) != want {
				t.Errorf("%d bundles, want %d", len(bundles), want)
			}
			for _, b := range bundles {
				if b.Err != nil || len(b.Objects) == 0 {
					t.Errorf("%s in %s: %d objects, %v", b.App, b.Cluster, len(b.Objects), b.Err)
				}
			}
		})
	}
}
