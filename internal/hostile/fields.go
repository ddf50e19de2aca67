package hostile

import (
	"fmt"
	"strings"
)

// A field is a place where a kustomization takes a path.
type field struct {
	name string
	text func(path string) string // returns a kustomization with the path in the field
	more map[string]string        // further files
	// optional means that an empty path is the same as none.
	optional bool
}

// fields returns all places where kustomize accepts a path, itself or for a
// builtin plugin that is configured in the kustomization or in a file.
func fields() []field {
	all := []field{
		listed("resources"), listed("components"), listed("crds"), listed("configurations"),
		listed("generators"), listed("transformers"), listed("validators"),
		listed("patchesStrategicMerge"), listed("bases"),
		written("patches", "patches: [{path: %s}]"),
		written("patches-target", "patches: [{path: %s, target: {kind: ConfigMap}}]"),
		written("patchesJson6902", "patchesJson6902: [{path: %s, target: {version: v1, kind: ConfigMap, name: innocent}}]"),
		written("replacements", "replacements: [{path: %s}]"),
		written("openapi", "openapi: {path: %s}"),
		written("helmCharts-repo", "helmCharts: [{name: x, repo: %s}]"),
		written("helmCharts-values", "helmCharts: [{name: x, valuesFile: %s}]"),
		written("helmGlobals", "helmGlobals: {chartHome: %s}\nhelmCharts: [{name: x}]"),
		keyed("files-keyed"),
	}
	for _, kind := range []string{"configMap", "secret"} {
		all = append(all,
			written(kind+"-files", kind+"Generator: [{name: x, files: [%s]}]"),
			written(kind+"-envs", kind+"Generator: [{name: x, envs: [%s]}]"),
			optional(written(kind+"-env", kind+"Generator: [{name: x, env: %s}]")),
		)
	}
	for _, p := range plugins() {
		all = append(all, p.inFile(), p.inKustomization())
	}
	return all
}

// optional marks a field that may be empty.
func optional(f field) field { f.optional = true; return f }

// listed returns a field with a list of paths.
func listed(name string) field { return written(name, name+": [%s]") }

// written returns a field with a text around the path.
func written(name, format string) field {
	return field{name: name, text: func(path string) string {
		line := fmt.Sprintf(format, quoted(path))
		if rest, ok := strings.CutPrefix(line, "resources: ["); ok {
			return "resources: [innocent.yaml, " + rest + "\n"
		}
		return kustomization(line + "\n")
	}}
}

func keyed(name string) field {
	return field{name: name, text: func(path string) string {
		return kustomization("configMapGenerator: [{name: x, files: [" + quoted("k="+path) + "]}]\n")
	}}
}

// quoted returns a YAML string that preserves every character.
func quoted(s string) string { return fmt.Sprintf("%q", s) }

// A plugin is a builtin plugin of kustomize with a path in its configuration.
type plugin struct {
	list   string // the field that contains it
	kind   string
	config string // its fields; %s is the path
	at     string // JSON pointer of the path
}

func plugins() []plugin {
	return []plugin{
		{"generators", "ConfigMapGenerator", "files: [%s]", "/files/0"},
		{"generators", "ConfigMapGenerator", "envs: [%s]", "/envs/0"},
		{"generators", "SecretGenerator", "files: [%s]", "/files/0"},
		{"generators", "SecretGenerator", "env: %s", "/env"},
		{"transformers", "PatchTransformer", "path: %s", "/path"},
		{"transformers", "PatchJson6902Transformer", "target: {version: v1, kind: ConfigMap, name: innocent}\npath: %s", "/path"},
		{"transformers", "PatchStrategicMergeTransformer", "paths: [%s]", "/paths/0"},
		{"transformers", "ReplacementTransformer", "replacements: [{path: %s}]", "/replacements/0/path"},
		{"validators", "PatchTransformer", "path: %s", "/path"},
	}
}

// configuration returns the plugin's configuration with a path.
func (p plugin) configuration(path string) string {
	return fmt.Sprintf("apiVersion: builtin\nkind: %s\nmetadata: {name: plugin}\n"+p.config+"\n", p.kind, quoted(path))
}

// name identifies the plugin in the name of a case.
func (p plugin) name() string {
	return p.list + "-" + p.kind + strings.ReplaceAll(strings.TrimSuffix(p.at, "/0"), "/", "-")
}

// inFile returns the field of a plugin that is configured in a file. The path is
// in the file, so there is a file for each path.
func (p plugin) inFile() field {
	return field{
		name: p.name() + "-file",
		text: func(string) string { return kustomization(p.list + ": [plugin.yaml]\n") },
		more: map[string]string{"plugin.yaml": p.configuration(pathHere)},
	}
}

// inKustomization returns the field of a plugin that is configured in the
// kustomization.
func (p plugin) inKustomization() field {
	return field{name: p.name() + "-inline", text: func(path string) string {
		return kustomization(p.list + ":\n- |\n  " + strings.ReplaceAll(strings.TrimSpace(p.configuration(path)), "\n", "\n  ") + "\n")
	}}
}

// pathHere is the placeholder in a file for the path of the case.
const pathHere = "PATH-HERE"

// apps writes an app for each path, whose kustomization has the path in the
// field.
func (f field) apps(r *Repository, paths []string) {
	var names []string
	for i, path := range paths {
		if f.optional && path == "" {
			continue
		}
		app := fmt.Sprintf("a%d", i)
		names = append(names, app)
		dir := "apps/" + app + "/"
		r.File(dir+"kustomization.yaml", f.text(path))
		r.File(dir+"innocent.yaml", configMap(fmt.Sprintf("%s-%d", Marker, i), "v"))
		for name, content := range f.more {
			r.File(dir+name, strings.ReplaceAll(content, quoted(pathHere), quoted(path)))
		}
	}
	r.federation(names...)
}
