package kustomize

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
)

// What a plugin would fetch or run is checked in the form in which the plugin runs:
// a folder may create it from harmless files.
func TestPluginsAreCheckedAsTheirFolderBuildsThem(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var connections atomic.Int64
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = c.Close()
		}
	}()
	url := "http://" + listener.Addr().String() + "/secret"

	const (
		generator   = "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: g}\nliterals: [a=b]\n"
		transformer = "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: g}\npath: p.yaml\n"
		configMap   = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: urls}\ndata: {url: %q}\n"
	)
	for name, c := range map[string]struct{ field, folder, plugin string }{
		"JSON patch":          {"generators", "patches: [{target: {kind: ConfigMapGenerator}, patch: '[{\"op\": \"add\", \"path\": \"/files\", \"value\": [\"k=URL\"]}]'}]", generator},
		"merge patch":         {"generators", "patches: [{patch: '{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: g}, files: [\"k=URL\"]}'}]", generator},
		"envs":                {"generators", "patches: [{target: {kind: ConfigMapGenerator}, patch: '[{\"op\": \"add\", \"path\": \"/envs\", \"value\": [\"URL\"]}]'}]", generator},
		"transformer":         {"transformers", "patches: [{target: {kind: PatchTransformer}, patch: '[{\"op\": \"replace\", \"path\": \"/path\", \"value\": \"URL\"}]'}]", transformer},
		"validator":           {"validators", "patches: [{target: {kind: PatchTransformer}, patch: '[{\"op\": \"replace\", \"path\": \"/path\", \"value\": \"URL\"}]'}]", transformer},
		"kind":                {"generators", "patches: [{target: {kind: ConfigMapGenerator}, options: {allowKindChange: true}, patch: '[{\"op\": \"replace\", \"path\": \"/kind\", \"value\": \"HelmChartInflationGenerator\"}]'}]", generator},
		"program":             {"generators", "patches: [{target: {kind: ConfigMapGenerator}, patch: '[{\"op\": \"add\", \"path\": \"/metadata/annotations\", \"value\": {\"config.kubernetes.io/function\": \"exec: {path: ./run}\"}}]'}]", generator},
		"components, patched": {"generators", "components: [component]", generator},
	} {
		t.Run(name, func(t *testing.T) {
			fill := func(text string) *fstest.MapFile {
				return &fstest.MapFile{Data: []byte(strings.ReplaceAll(text, "URL", url))}
			}
			files := fstest.MapFS{
				"a/kustomization.yaml":                fill(c.field + ": [made]\nresources: [urls.yaml]\n"),
				"a/urls.yaml":                         fill(fmt.Sprintf(configMap, url)),
				"a/p.yaml":                            fill("[]"),
				"a/made/kustomization.yaml":           fill("resources: [plugin.yaml]\n" + c.folder + "\n"),
				"a/made/plugin.yaml":                  fill(c.plugin),
				"a/made/component/kustomization.yaml": fill("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: [{target: {kind: ConfigMapGenerator}, patch: '[{\"op\": \"add\", \"path\": \"/files\", \"value\": [\"k=URL\"]}]'}]\n"),
			}
			_, err := buildAlone(t.Context(), files, "a")
			if err == nil || !strings.HasPrefix(err.Error(), "a/kustomization.yaml:1: "+c.field+"[0]: ") {
				t.Errorf("%v, want a refusal that names the entry", err)
			}
			t.Log(err)
			if n := connections.Load(); n > 0 {
				t.Errorf("%d connections were made", n)
			}
		})
	}
}

// A folder of plugins that fetches nothing is built as usual.
func TestPluginsOfAFolderRun(t *testing.T) {
	files := fstest.MapFS{
		"a/kustomization.yaml":      {Data: []byte("generators: [made]\n")},
		"a/made/kustomization.yaml": {Data: []byte("resources: [plugin.yaml]\npatches: [{target: {kind: ConfigMapGenerator}, patch: '[{\"op\": \"add\", \"path\": \"/literals/-\", \"value\": \"c=d\"}]'}]\n")},
		"a/made/plugin.yaml":        {Data: []byte("apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: g}\nliterals: [a=b]\n")},
	}
	made, err := buildAlone(t.Context(), files, "a")
	if err != nil || len(made.Objects) != 1 || !strings.Contains(string(made.Objects[0].JSON), `"data":{"a":"b","c":"d"}`) {
		t.Errorf("%v %v", made.Objects, err)
	}
}
