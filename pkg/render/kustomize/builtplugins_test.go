package kustomize

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestPluginsAreCheckedAsTheyAreBuilt(t *testing.T) {
	const plugin = "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: p, annotations: {from: \"k=https://example.com/\"}}\nfiles: [\"k=v.txt\"]\n"
	file := func(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }
	for name, c := range map[string]struct{ change, want string }{
		"unchanged":     {"", ""},
		"renamed":       {"namePrefix: x-\n", ""},
		"a JSON patch":  {"patches: [{target: {kind: ConfigMapGenerator}, patch: \"- {op: replace, path: /files/0, value: 'k=https://example.com/'}\"}]\n", "nothing is fetched"},
		"a merge patch": {"patches: [{patch: \"{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: p}, files: ['k=https://example.com/']}\"}]\n", "nothing is fetched"},
		"a replacement": {"replacements: [{source: {kind: ConfigMapGenerator, fieldPath: metadata.annotations.from}, targets: [{select: {kind: ConfigMapGenerator}, fieldPaths: [files.0]}]}]\n", "nothing is fetched"},
		"another kind":  {"patches: [{target: {kind: ConfigMapGenerator}, options: {allowKindChange: true}, patch: \"- {op: replace, path: /kind, value: HelmChartInflationGenerator}\"}]\n", "Helm is not run"},
		"a function":    {"patches: [{target: {kind: ConfigMapGenerator}, patch: \"- {op: add, path: /metadata/annotations, value: {config.kubernetes.io/function: 'exec: {path: ./x}'}}\"}]\n", "asks for a function"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{
				"apps/a/kustomization.yaml":                     file("generators: [plugins]\n"),
				"apps/a/v.txt":                                  file("v"),
				"apps/a/plugins/kustomization.yaml":             file("resources: [deeper]\n" + c.change),
				"apps/a/plugins/deeper/kustomization.yaml":      file("resources: [base]\n"),
				"apps/a/plugins/deeper/base/kustomization.yaml": file("resources: [plugin.yaml]\n"),
				"apps/a/plugins/deeper/base/plugin.yaml":        file(plugin),
			}
			made, err := buildAlone(t.Context(), files, "apps/a")
			if c.want == "" && (err != nil || len(made.Objects) != 1) {
				t.Errorf("%d objects, %v, want one", len(made.Objects), err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "apps/a/kustomization.yaml")) {
				t.Errorf("error %v, want %q and the kustomization's name", err, c.want)
			}
		})
	}
}
