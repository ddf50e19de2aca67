package hostile

import (
	"fmt"
	"strings"
)

// A builtPlugin is a plugin whose configuration is harmless in its file and gets
// its path from the kustomization that builds it.
type builtPlugin struct {
	plugin plugin
	change func(plugin, string) map[string]string // returns the files of the folder that is built
	path   string
}

// changes returns the ways of changing a configuration while it is built.
func changes() map[string]func(plugin, string) map[string]string {
	return map[string]func(plugin, string) map[string]string{
		"json-patch": byJSONPatch, "merge-patch": byMergePatch, "replacement": byReplacement,
		"transformer": byTransformer, "component": byComponent, "nested": byNesting, "generated": byGenerated,
	}
}

// builtRemotes put addresses into plugins while these are built.
func builtRemotes() []Case {
	var all []Case
	for i, p := range plugins() {
		all = append(all, Case{
			Name: "built/" + p.name(), Short: i == 0 || i == 4,
			Want: Want{Refused: `apps/a0/`, All: true},
			Build: func(r *Repository, w World) {
				var ways []builtPlugin
				urls := elsewhere(w)
				for _, name := range sortedKeys(changes()) {
					for _, url := range []string{urls[0], urls[1], urls[2], urls[11], urls[20], urls[28]} {
						ways = append(ways, builtPlugin{p, changes()[name], url})
					}
				}
				writeBuilt(r, ways)
			},
		})
	}
	return append(all, builtFunctions())
}

// writeBuilt writes an app for each plugin.
func writeBuilt(r *Repository, ways []builtPlugin) {
	var names []string
	for i, b := range ways {
		app := fmt.Sprintf("a%d", i)
		names = append(names, app)
		dir := "apps/" + app + "/"
		r.File(dir+"kustomization.yaml", kustomization(b.plugin.list+": [built]\n"))
		r.File(dir+"innocent.yaml", configMap(fmt.Sprintf("%s-%d", Marker, i), "v"))
		for name, content := range b.change(b.plugin, b.path) {
			r.File(dir+"built/"+name, content)
		}
	}
	r.federation(names...)
}

// bare returns the plugin's configuration with a path that is not an address.
func (p plugin) bare() string {
	return p.configuration("plain.yaml")
}

func byJSONPatch(p plugin, path string) map[string]string {
	return map[string]string{
		"plugin.yaml": p.bare(), "plain.yaml": "[]",
		"kustomization.yaml": "resources: [plugin.yaml]\npatches:\n" + p.jsonPatch(path, ""),
	}
}

// jsonPatch returns a patch of the plugin's configuration in a list of patches.
func (p plugin) jsonPatch(path, indent string) string {
	return fmt.Sprintf("%s- target: {kind: %s}\n%[1]s  patch: |\n%[1]s    - {op: replace, path: %s, value: %s}\n", indent, p.kind, p.at, quoted(path))
}

func byMergePatch(p plugin, path string) map[string]string {
	return map[string]string{
		"plugin.yaml": p.bare(), "plain.yaml": "[]", "patch.yaml": p.configuration(path),
		"kustomization.yaml": "resources: [plugin.yaml]\npatches: [{path: patch.yaml}]\n",
	}
}

func byReplacement(p plugin, path string) map[string]string {
	annotated := strings.Replace(p.bare(), "name: plugin}", "name: plugin, annotations: {from: "+quoted(path)+"}}", 1)
	to := strings.ReplaceAll(p.at[1:], "/", ".")
	return map[string]string{
		"plugin.yaml": annotated, "plain.yaml": "[]",
		"kustomization.yaml": fmt.Sprintf("resources: [plugin.yaml]\nreplacements:\n- source: {kind: %s, fieldPath: metadata.annotations.from}\n"+
			"  targets: [{select: {kind: %[1]s}, fieldPaths: [%s]}]\n", p.kind, to),
	}
}

func byTransformer(p plugin, path string) map[string]string {
	return map[string]string{
		"plugin.yaml": p.bare(), "plain.yaml": "[]",
		"kustomization.yaml": "resources: [plugin.yaml]\ntransformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: t}\n" +
			fmt.Sprintf("  target: {kind: %s}\n  patch: |\n    - {op: replace, path: %s, value: %s}\n", p.kind, p.at, quoted(path)),
	}
}

func byComponent(p plugin, path string) map[string]string {
	return map[string]string{
		"plugin.yaml": p.bare(), "plain.yaml": "[]",
		"kustomization.yaml": "resources: [plugin.yaml]\ncomponents: [component]\n",
		"component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n" +
			p.jsonPatch(path, ""),
	}
}

func byNesting(p plugin, path string) map[string]string {
	return map[string]string{
		"kustomization.yaml": "resources: [deeper]\nnamePrefix: x-\n", "plain.yaml": "[]",
		"deeper/kustomization.yaml":      "resources: [base]\npatches:\n" + p.jsonPatch(path, ""),
		"deeper/base/kustomization.yaml": "resources: [plugin.yaml]\n",
		"deeper/base/plugin.yaml":        p.bare(), "deeper/base/plain.yaml": "[]", "deeper/plain.yaml": "[]",
	}
}

// byGenerated creates the plugin from a ConfigMap that another plugin
// generates.
func byGenerated(p plugin, path string) map[string]string {
	whole := strings.ReplaceAll(p.configuration(path), "\n", "\n      ")
	return map[string]string{
		"plain.yaml": "[]",
		"kustomization.yaml": "configMapGenerator: [{name: plugin, options: {disableNameSuffixHash: true}, literals: [a=b]}]\n" +
			"patches:\n- target: {kind: ConfigMap}\n  options: {allowKindChange: true, allowNameChange: true}\n  patch: |\n" +
			"    - op: replace\n      path: \"\"\n      value:\n        " + strings.ReplaceAll(strings.TrimSpace(whole), "\n      ", "\n        ") + "\n",
	}
}

// builtFunctions turn a plugin into a program, a function or a chart while it is
// built.
func builtFunctions() Case {
	return Case{
		Name: "built/functions", Short: true,
		Want: Want{Refused: `apps/a0/`, All: true},
		Build: func(r *Repository, w World) {
			var ways []builtPlugin
			for _, list := range []string{"generators", "transformers", "validators"} {
				for _, operation := range becoming(w) {
					p := plugin{list: list, kind: "ConfigMapGenerator", config: "literals: [%s]", at: ""}
					change := func(p plugin, _ string) map[string]string {
						return map[string]string{
							"plugin.yaml": p.configuration("a=b"),
							"kustomization.yaml": "resources: [plugin.yaml]\npatches:\n- target: {kind: ConfigMapGenerator}\n" +
								"  options: {allowKindChange: true}\n  patch: |\n" + operation,
						}
					}
					ways = append(ways, builtPlugin{plugin: p, change: change})
				}
			}
			writeBuilt(r, ways)
		},
	}
}

// becoming returns JSON patches that turn a configuration into a program.
func becoming(w World) []string {
	function := "    - op: add\n      path: /metadata/annotations\n      value: {config.kubernetes.io/function: %s}\n"
	kind := "    - {op: replace, path: /kind, value: %s}\n"
	return []string{
		fmt.Sprintf(function, quoted("exec: {path: "+w.Program+"}")),
		fmt.Sprintf(function, quoted("container: {image: x, network: true}")),
		fmt.Sprintf(function, quoted("starlark: {path: x.star, url: http://"+w.Address+"/x.star}")),
		fmt.Sprintf(kind, "HelmChartInflationGenerator"),
		fmt.Sprintf(kind, "GoPlugin") + "    - {op: replace, path: /apiVersion, value: someteam.example.com/v1}\n",
		"    - {op: replace, path: /apiVersion, value: " + quoted("../../../../"+w.Program) + "}\n",
	}
}
