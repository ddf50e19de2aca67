package render_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/render"
)

// The word hunter2 is a secret in each of these files, which all have a
// mistake.
func TestErrorsDoNotQuoteSecrets(t *testing.T) {
	const (
		federationFile = "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n  clusters: [{name: a}]\n  apps: [{name: x, path: x}]\n"
		secret         = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: abc}\n"
	)
	for name, files := range map[string]map[string]string{
		"an integer":                   {"s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: !!int hunter2}\n"},
		"a boolean":                    {"s.yaml": "a: !!bool hunter2\n"},
		"a number":                     {"s.yaml": "a: !!float hunter2\n"},
		"base64":                       {"s.yaml": "a: !!binary hunter2-\n"},
		"a tag":                        {"s.yaml": "a: !hunter2\n"},
		"an alias":                     {"s.yaml": "a: *hunter2\n"},
		"not YAML":                     {"s.yaml": "a: 'hunter2\n"},
		"literals":                     {"kustomization.yaml": "secretGenerator:\n- {name: s, literals: [hunter2]}\n"},
		"more literals":                {"kustomization.yaml": "secretGenerator:\n- {name: s, literals: ['a=b', '=hunter2']}\n"},
		"twice":                        {"kustomization.yaml": "secretGenerator:\n- {name: s, literals: ['a=hunter2', 'a=hunter2']}\n"},
		"a bad key":                    {"kustomization.yaml": "secretGenerator:\n- {name: s, literals: ['a b=hunter2']}\n"},
		"env":                          {"kustomization.yaml": "secretGenerator:\n- {name: s, envs: [e]}\n", "e": "a=b\n\xff hunter2\n"},
		"env without key":              {"kustomization.yaml": "secretGenerator:\n- {name: s, envs: [e]}\n", "e": "=hunter2\n"},
		"a patch":                      {"kustomization.yaml": "resources: [s.yaml]\npatches:\n- patch: |\n    kind: Secret\n    stringData: {password: hunter2}\n", "s.yaml": secret},
		"a patch of none":              {"kustomization.yaml": "resources: [s.yaml]\npatches:\n- patch: |\n    apiVersion: v1\n    kind: Secret\n    metadata: {name: other}\n    stringData: {password: hunter2}\n", "s.yaml": secret},
		"a patch in words":             {"kustomization.yaml": "resources: [s.yaml]\npatches:\n- target: {kind: Secret}\n  patch: hunter2\n", "s.yaml": secret},
		"an operation":                 {"kustomization.yaml": "resources: [s.yaml]\npatches:\n- target: {kind: Secret}\n  patch: '[{op: nonsense, path: /stringData/password, value: hunter2}]'\n", "s.yaml": secret},
		"a test":                       {"kustomization.yaml": "resources: [s.yaml]\npatches:\n- target: {kind: Secret}\n  patch: '[{op: test, path: /stringData/password, value: hunter2}]'\n", "s.yaml": secret},
		"a path":                       {"kustomization.yaml": "resources: [s.yaml]\npatches:\n- target: {kind: Secret}\n  patch: '[{op: replace, path: /data/other, value: hunter2}]'\n", "s.yaml": secret},
		"a patch file":                 {"kustomization.yaml": "resources: [s.yaml]\npatches:\n- path: p.yaml\n", "s.yaml": secret, "p.yaml": "kind: Secret\nstringData: {password: hunter2}\n"},
		"an older patch":               {"kustomization.yaml": "resources: [s.yaml]\npatchesStrategicMerge:\n- |-\n  kind: Secret\n  stringData: {password: hunter2}\n", "s.yaml": secret},
		"an older JSON one":            {"kustomization.yaml": "resources: [s.yaml]\npatchesJson6902:\n- target: {version: v1, kind: Secret, name: s}\n  patch: '[hunter2]'\n", "s.yaml": secret},
		"a resource":                   {"kustomization.yaml": "resources: [s.yaml]\n", "s.yaml": "kind: Secret\nstringData: {password: hunter2}\n"},
		"no kind":                      {"kustomization.yaml": "resources: [s.yaml]\n", "s.yaml": "apiVersion: v1\nmetadata: {name: s}\nstringData: {password: hunter2}\n"},
		"a list":                       {"kustomization.yaml": "resources: [s.yaml]\n", "s.yaml": "apiVersion: v1\nkind: List\nitems: [hunter2]\n"},
		"labels":                       {"kustomization.yaml": "resources: [s.yaml]\ncommonLabels: {a: b}\n", "s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, labels: hunter2}\n"},
		"annotations":                  {"kustomization.yaml": "resources: [s.yaml]\ncommonAnnotations: {a: b}\n", "s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: [hunter2]}\n"},
		"a replacement":                {"kustomization.yaml": "resources: [s.yaml]\nreplacements:\n- source: {kind: Secret, fieldPath: stringData.password, options: {delimiter: '-', index: 7}}\n  targets: [{select: {kind: Secret}, fieldPaths: [stringData.other]}]\n", "s.yaml": strings.Replace(secret, "abc", "hunter2", 1)},
		"no such field":                {"kustomization.yaml": "resources: [s.yaml]\nreplacements:\n- source: {kind: Secret, fieldPath: stringData.password}\n  targets: [{select: {kind: Secret}, fieldPaths: [stringData.password.deeper]}]\n", "s.yaml": strings.Replace(secret, "abc", "hunter2", 1)},
		"odd data":                     {"kustomization.yaml": "resources: [s.yaml]\nsecretGenerator:\n- {name: s, behavior: merge, literals: [a=b]}\n", "s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: {a: hunter2}}\n"},
		"data that is a word":          {"kustomization.yaml": "resources: [s.yaml]\nsecretGenerator:\n- {name: s, behavior: merge, literals: [a=b]}\n", "s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: hunter2\n"},
		"a field of the kustomization": {"kustomization.yaml": "secretGenerator:\n- {name: s, literals: hunter2}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			repository := fstest.MapFS{"fedsync.yaml": {Data: []byte(federationFile)}}
			for file, content := range files {
				repository["x/"+file] = &fstest.MapFile{Data: []byte(content)}
			}
			f, err := fedfile.Parse("", []byte(federationFile))
			if err != nil {
				t.Fatal(err)
			}
			bundles, findings := render.New(render.Options{}).Render(t.Context(), federation.Snapshot{Files: repository}, f, nil)
			said := fmt.Sprint(bundles[0].Err, findings)
			if strings.Contains(said, "hunter2") {
				t.Errorf("a secret is in %s", said)
			}
		})
	}
}
