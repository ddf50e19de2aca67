package kustomize

import (
	"fmt"
	"path"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// copyBomb is a JSON patch that doubles /b with every operation.
func copyBomb(copies int) string {
	var b strings.Builder
	b.WriteString("- {op: add, path: /b, value: [\"" + strings.Repeat("x", 100) + "\"]}\n")
	for range copies {
		b.WriteString("- {op: copy, from: /b, path: /b/-}\n")
	}
	return b.String()
}

func configMaps(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\n", i)
	}
	return b.String()
}

func TestAPatchThatCopiesItselfFillsNoMemory(t *testing.T) {
	indent := func(s string) string { return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ") + "\n" }
	const target = "target: {kind: ConfigMap}"
	var small strings.Builder
	for range 500 {
		small.WriteString("- " + target + "\n  patch: |\n" + indent(copyBomb(11)))
	}
	for name, c := range map[string]struct {
		files map[string]string
		blame string // the file that the error names
	}{
		"in a file": {map[string]string{
			"kustomization.yaml": "resources: [a.yaml]\npatches:\n- path: bomb.yaml\n  " + target + "\n", "bomb.yaml": copyBomb(40),
		}, "web/kustomization.yaml"},
		"as text": {map[string]string{
			"kustomization.yaml": "resources: [a.yaml]\npatches:\n- " + target + "\n  patch: |\n" + indent(copyBomb(24)),
		}, "web/kustomization.yaml"},
		"under the older name": {map[string]string{
			"kustomization.yaml": "resources: [a.yaml]\npatchesJson6902:\n- path: bomb.yaml\n  target: {version: v1, kind: ConfigMap, name: c0}\n", "bomb.yaml": copyBomb(40),
		}, "web/kustomization.yaml"},
		"in a transformer": {map[string]string{
			"kustomization.yaml": "resources: [a.yaml]\ntransformers: [t.yaml]\n",
			"t.yaml":             "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\n" + target + "\npatch: |\n" + indent(copyBomb(40)),
		}, "web/kustomization.yaml"},
		"in an overlay of a pure base": {map[string]string{
			"base/kustomization.yaml":       "resources: [a.yaml]\n",
			"base/a.yaml":                   configMaps(1),
			"clusters/a/kustomization.yaml": "resources: [../../base]\npatches:\n- path: bomb.yaml\n  " + target + "\n", "clusters/a/bomb.yaml": copyBomb(40),
		}, "web/clusters/a/kustomization.yaml"},
		"in many objects": {map[string]string{
			"kustomization.yaml": "resources: [a.yaml]\npatches:\n- path: bomb.yaml\n  " + target + "\n", "bomb.yaml": copyBomb(13), "a.yaml": configMaps(1000),
		}, "web/kustomization.yaml"},
		"in many patches": {map[string]string{
			"kustomization.yaml": "resources: [a.yaml]\npatches:\n" + small.String(),
		}, "web/kustomization.yaml"},
		"too many operations": {map[string]string{
			"kustomization.yaml": "resources: [a.yaml]\npatches:\n- path: long.yaml\n  " + target + "\n", "long.yaml": strings.Repeat("- {op: add, path: /data, value: {}}\n", 1001),
		}, "web/kustomization.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{"web/a.yaml": {Data: []byte(configMaps(1))}}
			for name, content := range c.files {
				if strings.HasPrefix(name, "base/") {
					delete(files, "web/a.yaml")
				}
				files["web/"+name] = &fstest.MapFile{Data: []byte(content)}
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := buildAlone(t.Context(), files, path.Dir(c.blame))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.blame) {
				t.Errorf("rendered with %v, want an error that names %s", err, c.blame)
			}
			t.Log(err)
			if took > 5*time.Second { // on a busy machine
				t.Errorf("took %s, want less than a second", took)
			}
			if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 256 {
				t.Errorf("allocated %d MiB, want little", mib)
			}
			t.Logf("%s, %d MiB allocated", took, (after.TotalAlloc-before.TotalAlloc)>>20)
		})
	}
}

func TestPatchesThatCopyLittleAreBuilt(t *testing.T) {
	files := fstest.MapFS{
		"web/a.yaml":             {Data: []byte(configMaps(2000))},
		"web/kustomization.yaml": {Data: []byte("resources: [a.yaml]\npatches:\n- path: p.yaml\n  target: {kind: ConfigMap}\n")},
		"web/p.yaml":             {Data: []byte("- {op: copy, from: /metadata/name, path: /data}\n- {op: add, path: /data, value: {}}\n- {op: copy, from: /metadata/name, path: /data/name}\n")},
	}
	made, err := buildAlone(t.Context(), files, "web")
	if err != nil || len(made.Objects) != 2000 {
		t.Errorf("%d objects with error %v, want all", len(made.Objects), err)
	}
}
