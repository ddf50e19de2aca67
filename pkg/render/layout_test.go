package render_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// laidOut returns a repository with one app for two clusters; one of them has an
// overlay.
func laidOut() fstest.MapFS {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	return fstest.MapFS{
		"fedsync.yaml": file("apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: f}\n" +
			"spec:\n  clusters: [{name: asia}, {name: europe}]\n  apps: [{name: app, path: apps/app}]\n"),
		"apps/app/base/config.yaml":                   file("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {v: all}\n"),
		"apps/app/clusters/asia/kustomization.yaml":   file("resources: [../../base]\nlabels: [{pairs: {a: b}}]\n"),
		"apps/app/clusters/README.md":                 file("What is here.\n"),
		"apps/app/clusters/europe/kustomization.yaml": file("resources: [../../base]\n"),
	}
}

// Something other than a folder where the layout has one is never treated as missing.
func TestAFolderOfTheLayoutThatCannotBeReadIsAMistake(t *testing.T) {
	kinds := map[string]struct {
		is   *fstest.MapFile
		want string
	}{
		"a submodule":     {&fstest.MapFile{Mode: fs.ModeIrregular | 0o444}, "is a submodule"},
		"a dangling link": {&fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("nowhere")}, "cannot be followed"},
		"a link to a file": {
			&fstest.MapFile{Mode: fs.ModeSymlink, Data: []byte("TO/fedsync.yaml")}, "does not lead to a folder",
		},
		"a file": {&fstest.MapFile{Data: []byte("text")}, "is a file where a folder should be"},
	}
	places := map[string]struct {
		folder string
		spared string // the cluster that is still rendered
	}{
		"an overlay":     {"apps/app/clusters/asia", "europe"},
		"all overlays":   {"apps/app/clusters", ""},
		"the base":       {"apps/app/base", ""},
		"the app":        {"apps/app", ""},
		"a folder above": {"apps", ""},
	}
	for kind, k := range kinds {
		for place, at := range places {
			t.Run(kind+" for "+place, func(t *testing.T) {
				files := laidOut()
				for name := range files {
					if strings.HasPrefix(name, at.folder+"/") {
						delete(files, name)
					}
				}
				is := *k.is
				up := strings.Repeat("../", strings.Count(at.folder, "/"))
				is.Data = []byte(strings.Replace(string(is.Data), "TO/", up, 1))
				files[at.folder] = &is
				bundles, findings := renderedFiles(t, files)
				for _, b := range bundles {
					if good := b.Err == nil && len(b.Objects) > 0; good != (b.Cluster == at.spared) {
						t.Errorf("cluster %s has %d objects, %v", b.Cluster, len(b.Objects), b.Err)
					}
				}
				if !told(findings, federation.SeverityError, at.folder, k.want) {
					t.Errorf("no finding names %s with %q: %v", at.folder, k.want, findings)
				}
			})
		}
	}
}

func renderedFiles(t *testing.T, files fs.FS) ([]federation.Bundle, []federation.Finding) {
	t.Helper()
	snapshot := federation.Snapshot{Files: files}
	f, err := render.Load(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	return render.New(render.Options{}).Render(t.Context(), snapshot, f, nil)
}

// told reports whether a finding names a file and contains words.
func told(findings []federation.Finding, severity federation.Severity, file, words string) bool {
	for _, f := range findings {
		if text := f.File + ": " + f.Message.String(); f.Severity == severity && strings.Contains(text, file) && strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// An app without objects is reported, with the files in its folder that were
// not read.
func TestAnAppThatRendersNothingIsReported(t *testing.T) {
	config := laidOut()["apps/app/base/config.yaml"]
	for name, c := range map[string]struct{ file, unread string }{
		"manifests in a folder":         {"apps/app/manifests/config.yaml", "manifests/"},
		"another extension":             {"apps/app/config.YAML", "config.YAML"},
		"a folder of the base":          {"apps/app/base/more/config.yaml", "more/"},
		"no manifest, and nothing else": {"apps/app/README.md", ""},
	} {
		t.Run(name, func(t *testing.T) {
			bundles, findings := renderedFiles(t, fstest.MapFS{"fedsync.yaml": laidOut()["fedsync.yaml"], c.file: config})
			for _, b := range bundles {
				if b.Err != nil || len(b.Objects) > 0 {
					t.Errorf("cluster %s has %d objects, %v", b.Cluster, len(b.Objects), b.Err)
				}
			}
			if !told(findings, federation.SeverityWarning, "apps/app", "no object in any cluster") {
				t.Errorf("it is not reported: %v", findings)
			}
			if c.unread != "" && !told(findings, federation.SeverityWarning, "apps/app", "not read: "+c.unread) {
				t.Errorf("no finding names %s: %v", c.unread, findings)
			}
		})
	}
	// Intended files are not reported.
	_, findings := renderedFiles(t, laidOut())
	if len(findings) > 0 {
		t.Errorf("findings where nothing is wrong: %v", findings)
	}
}
