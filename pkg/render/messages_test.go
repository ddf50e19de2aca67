package render_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/federation"
)

// Users' mistakes are reported with the file, the line and the remedy, equally in a
// plain folder and below a kustomization.
func TestAMistakeIsReportedWithItsLineAndRemedy(t *testing.T) {
	const (
		config    = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\n"
		resources = "resources: [a.yaml]\n"
		stray     = "move it out of the app's folder, or add a kustomization.yaml that lists the manifests"
		whole     = "correct the files; until then the running objects are left unchanged"
	)
	kustomized := func(text string) map[string]string {
		return map[string]string{"a.yaml": config, "kustomization.yaml": text}
	}
	typed := func(text, want string) (map[string]string, []string) {
		return kustomized(text), []string{"kustomization.yaml:" + want}
	}
	type testCase struct {
		files map[string]string
		want  []string // "FILE:LINE: message: remedy"
	}
	cases := map[string]testCase{
		"two merges in a map": {
			map[string]string{"a.yaml": config + "---\nkind: &x {a: b}\ndata:\n  <<: *x\n  <<: *x\n"},
			[]string{`a.yaml:9: "<<" appears twice in a map: list everything to merge in one: ` + whole},
		},
		"an anchor over documents": {
			map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: &x {a: b}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata: *x\n"},
			[]string{"a.yaml:9: *x refers to an anchor in another document of the file: write the value in this one: " + whole},
		},
		"what is no manifest": {
			map[string]string{"a.yaml": config, "dashboard.json": `{"panels": []}`},
			[]string{"dashboard.json:1: is not a manifest: it has neither apiVersion nor kind: " + stray},
		},
		"kustomize's configuration": {
			map[string]string{"a.yaml": config, "kustomizeconfig.yaml": "nameReference: []\n"},
			[]string{"kustomizeconfig.yaml:1: is not a manifest: it has neither apiVersion nor kind: " + stray},
		},
		"a kustomization of another name": {
			map[string]string{"a.yaml": config, "kustomization-dev.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" + resources},
			[]string{"kustomization-dev.yaml:1: is a Kustomization, and is built only under the name kustomization.yaml: " + stray},
		},
		"a component of another name": {
			map[string]string{"a.yaml": config, "tls.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"},
			[]string{"tls.yaml:1: is a Component, and is built only under the name kustomization.yaml: " + stray},
		},
		"Flux's Kustomization is a manifest": {
			map[string]string{"a.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n"}, nil,
		},
		"a name that is not UTF-8": {
			map[string]string{"caf\xe9.yaml": config}, []string{"caf\ufffd.yaml:0: the name of the file is not UTF-8: rename it"},
		},
	}
	for field, want := range map[string]string{
		"images: [{name: x, newTag: 2}]":                            "1: images[0].newTag: want a string, got a number: quote it",
		"images:\n- {name: x, newTag: a}\n- name: z\n  newTag: 1.5": "4: images[1].newTag: want a string, got a number: quote it",
		"images: [{name: y}]":                                       "1: images[0].name: want a string, got true or false: quote it",
		"namePrefix: 5":                                             "1: namePrefix: want a string, got a number: quote it",
		"commonLabels:\n  a: b\n  c: 1":                             "3: commonLabels.c: want a string, got a number: quote it",
		"labels: [{pairs: {a: true}}]":                              "1: labels[0].pairs.a: want a string, got true or false: quote it",
		"configMapGenerator: [{name: a, literals: [x=y, 1]}]":       "1: configMapGenerator[0].literals[1]: want a string, got a number: quote it",
		"configMapGenerator: {name: a}":                             "1: configMapGenerator: want a list, got a map: " + whole,
		"patches: ['a: b']":                                         "1: patches[0]: want a map, got a string: write it below patch:, or name its file by path:",
		"replicas: [{name: a, count: '3'}]":                         "1: replicas[0].count: want a number, got a string: " + whole,
		"generatorOptions: {disableNameSuffixHash: 'true'}":         "1: generatorOptions.disableNameSuffixHash: want true or false, got a string: " + whole,
	} {
		files, wants := typed(field+"\n"+resources, want)
		cases[field] = testCase{files, wants}
	}
	for _, key := range []string{"8080", "1.5", "true", "0x10", "2020-01-01"} {
		cases["a key "+key] = testCase{
			map[string]string{"kustomization.yaml": resources, "a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: y\n  " + key + ": z\n"},
			[]string{"a.yaml:6: kustomize does not read the key \"" + key + "\" as a string: quote it"},
		}
	}
	for name, c := range cases {
		for _, folder := range []string{"apps/app/", "apps/app/base/"} {
			t.Run(name+" in "+folder, func(t *testing.T) {
				files := fstest.MapFS{}
				for file, text := range c.files {
					files[folder+file] = &fstest.MapFile{Data: []byte(text)}
				}
				if folder != "apps/app/" {
					files["apps/app/clusters/c1/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [../../base]\n")}
				}
				var want []string
				for _, w := range c.want {
					want = append(want, folder+w)
				}
				if got := reported(t, files); !slices.Equal(got, want) {
					t.Errorf("got %q\nwant %q", got, want)
				}
			})
		}
	}
}

// reported returns the findings of one app for one cluster as "FILE:LINE: message:
// remedy".
func reported(t *testing.T, files fstest.MapFS) []string {
	t.Helper()
	files["fedsync.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: f}\n" +
		"spec:\n  clusters: [{name: c1}]\n  apps: [{name: app, path: apps/app}]\n")}
	_, findings := renderedFiles(t, files)
	var all []string
	for _, f := range findings {
		if f.Severity == federation.SeverityError {
			all = append(all, strings.ToValidUTF8(fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Message, f.Remedy), "\ufffd"))
		}
	}
	return all
}
