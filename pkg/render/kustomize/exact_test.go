package kustomize

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// Each archive in testdata/exact is a set of kustomizations. Each of its
// folders that ends in "overlay" is built by kustomize itself and by the
// renderer, and the results must be equal, byte for byte.
func TestBuildEqualsKustomizeByteForByte(t *testing.T) {
	archives, err := filepath.Glob("testdata/exact/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files := fstest.MapFS{}
			overlays := map[string]bool{}
			for _, f := range archive.Files {
				files[f.Name] = &fstest.MapFile{Data: f.Data}
				if dir := path.Dir(f.Name); strings.HasSuffix(dir, "overlay") {
					overlays[dir] = true
				}
			}
			if len(overlays) == 0 {
				t.Fatal("the archive has no folder that ends in overlay")
			}
			for dir := range overlays {
				want, err := kustomizeItself(files, dir)
				if err != nil {
					t.Fatalf("kustomize cannot build %s: %v", dir, err)
				}
				got, _, err := built1(t.Context(), files, dir)
				if err != nil {
					t.Fatalf("build of %s: %v", dir, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-kustomize +render):\n%s", dir, diff)
				}
			}
		})
	}
}

// Some overlays are built by patching alone, others by kustomize as a whole.
func TestOnlyOverlaysThatPatchAPureBaseAreBuiltByPatching(t *testing.T) {
	cases := []struct {
		archive string
		quick   bool
	}{
		{"patches", true},
		{"generators", false},
		{"names", false},
		{"jsonpatch-namespaced", false},
		{"jsonpatch-base", false},
		{"nulls", false},
	}
	for _, c := range cases {
		archive, err := txtar.ParseFile("testdata/exact/" + c.archive + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		files := fstest.MapFS{}
		for _, f := range archive.Files {
			files[f.Name] = &fstest.MapFile{Data: f.Data}
		}
		_, quick, err := built1(t.Context(), files, "overlay")
		if err != nil {
			t.Fatal(err)
		}
		if quick != c.quick {
			t.Errorf("%s is built by patching alone: %t, want %t", c.archive, quick, c.quick)
		}
	}
}

// Random overlays of a base that has a bit of everything are built both ways.
// The renderer must refuse what kustomize refuses.
func TestRandomOverlaysEqualKustomize(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/random.txtar")
	if err != nil {
		t.Fatal(err)
	}
	rounds := 400
	if testing.Short() {
		rounds = 60
	}
	if os.Getenv("FEDSYNC_TEST_LONG") != "" {
		rounds = 10_000
	}
	quick, good := 0, 0
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 7))
		files := compose(rng, archive)
		want, wantErr := kustomizeItself(files, "overlay")
		got, patched, err := built1(t.Context(), files, "overlay")
		if patched {
			quick++
		}
		if err == nil {
			good++
		}
		switch {
		case (err == nil) != (wantErr == nil):
			t.Fatalf("seed %d: error %v, kustomize's %v, for:\n%s", seed, err, wantErr, dump(files))
		case err == nil && got != want:
			t.Fatalf("seed %d (-kustomize +render):\n%s\nfor:\n%s", seed, cmp.Diff(want, got), dump(files))
		}
	}
	t.Logf("of %d overlays %d were built, %d of them by patching alone", rounds, good, quick)
	if quick < rounds/8 || good-quick < rounds/6 || good == rounds {
		t.Errorf("of %d overlays %d were built, %d of them by patching alone: the test should have many of each kind", rounds, good, quick)
	}
}

// compose picks some of the archive's resources for a base and some of its
// snippets for the base's and the overlay's kustomization.
func compose(rng *rand.Rand, archive *txtar.Archive) fstest.MapFS {
	parts := map[string][][]byte{}
	for _, f := range archive.Files {
		kind := path.Dir(f.Name)
		parts[kind] = append(parts[kind], f.Data)
	}
	files := fstest.MapFS{}
	var base, overlay bytes.Buffer
	base.WriteString("resources:\n")
	for i, data := range parts["resource"] {
		if rng.IntN(3) > 0 {
			name := string(rune('a'+i)) + ".yaml"
			base.WriteString("- " + name + "\n")
			files["base/"+name] = &fstest.MapFile{Data: data}
		}
	}
	if len(files) == 0 {
		base.WriteString("- a.yaml\n")
		files["base/a.yaml"] = &fstest.MapFile{Data: parts["resource"][0]}
	}
	for _, data := range parts["base"] {
		if rng.IntN(20) == 0 {
			base.Write(data)
		}
	}
	overlay.WriteString("resources:\n- ../base\n")
	for _, data := range parts["overlay"] {
		if rng.IntN(20) == 0 {
			overlay.Write(data)
		}
	}
	var patches bytes.Buffer
	for _, data := range parts["patch"] {
		if rng.IntN(16) == 0 {
			patches.Write(data)
		}
	}
	if patches.Len() > 0 {
		overlay.WriteString("patches:\n")
		overlay.Write(patches.Bytes())
	}
	files["base/kustomization.yaml"] = &fstest.MapFile{Data: base.Bytes()}
	files["overlay/kustomization.yaml"] = &fstest.MapFile{Data: overlay.Bytes()}
	return files
}

func dump(files fstest.MapFS) string {
	var b strings.Builder
	for name, f := range files {
		b.WriteString("-- " + name + " --\n" + string(f.Data))
	}
	return b.String()
}

// kustomizeItself builds a folder with kustomize and its own file system.
func kustomizeItself(files fstest.MapFS, dir string) (string, error) {
	fsys := filesys.MakeFsInMemory()
	for name, f := range files {
		if err := fsys.WriteFile("/"+name, f.Data); err != nil {
			return "", err
		}
	}
	m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, "/"+dir)
	if err != nil {
		return "", err
	}
	data, err := m.AsYaml()
	if err != nil || !manifest.MayHaveNull(data) {
		return string(data), err
	}
	var parts []string
	for _, r := range m.Resources() {
		data, err := r.MarshalJSON()
		if err != nil {
			return "", err
		}
		content, err := manifest.Content(data)
		if err != nil {
			return "", err
		}
		manifest.Settle(content)
		if data, err = json.Marshal(content); err != nil {
			return "", err
		}
		if data, err = yaml.JSONToYAML(data); err != nil {
			return "", err
		}
		parts = append(parts, string(data))
	}
	return strings.Join(parts, "---\n"), nil
}

// opened returns a revision of files with its own builder.
func opened(ctx context.Context, fsys fs.FS) *Revision {
	b := New(Limits{}, func(string, string) (func(), error) { return func() {}, nil })
	return b.Open(ctx, manifest.NewFiles(fsys, b.limits.FileBytes), func() bool { return false })
}

// buildAlone builds a folder that is not an app's overlay.
func buildAlone(ctx context.Context, files fs.FS, dir string) (Product, error) {
	r := opened(ctx, files)
	defer r.Close()
	return r.Build(Folder{Dir: dir})
}

// built1 builds a folder with the renderer, before namespaces are filled in, and
// reports whether patching alone was enough.
func built1(ctx context.Context, files fs.FS, dir string) (text string, quick bool, err error) {
	r := opened(ctx, files)
	defer r.Close()
	made, t, err := r.kustomize(dir)
	if err != nil {
		return "", false, err
	}
	_, quick = r.b.quick.build(r, t)
	text, err = asYAML(made.Objects)
	return text, quick, err
}

func asYAML(objects []*federation.Object) (string, error) {
	parts := make([]string, len(objects))
	for i, o := range objects {
		data, err := yaml.JSONToYAML(o.JSON)
		if err != nil {
			return "", err
		}
		parts[i] = string(data)
	}
	return strings.Join(parts, "---\n"), nil
}
