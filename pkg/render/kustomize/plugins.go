package kustomize

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"

	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// inlinePlugin checks the configuration of a generator, transformer or validator
// given as text in the kustomization itself.
func (s *scanner) inlinePlugin(field string, i int, text string) {
	for _, doc := range s.text(field, i, text) {
		content, isMap := doc.Value.(map[string]any)
		if !isMap {
			s.refuse(at(field, i), s.line(field, i), "want an object, got "+manifest.TypeName(doc.Value), "")
			continue
		}
		s.plugin(content, s.k.file, s.line(field, i), at(field, i))
	}
}

// plugin refuses plugins that are not part of kustomize, and those that run
// programs or read from elsewhere.
func (s *scanner) plugin(content map[string]any, file string, line int, field string) {
	refuse := func(reason string) {
		s.errs = append(s.errs, &manifest.Error{File: file, Line: line, Field: field, Reason: reason, Remedy: "use the fields of the kustomization, or kustomize's builtin plugins"})
	}
	kind, _ := content["kind"].(string)
	apiVersion, _ := content["apiVersion"].(string)
	metadata, _ := content["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	for key := range annotations {
		if strings.HasPrefix(key, "config.kubernetes.io/") || strings.HasPrefix(key, "config.k8s.io/") {
			refuse(fmt.Sprintf("the annotation %s asks for a function to be run, and no program is run for a build", key))
			return
		}
	}
	switch {
	case apiVersion != "builtin" || !slices.Contains(krusty.GetBuiltinPluginNames(), kind):
		refuse(fmt.Sprintf("%s %s is a plugin, and no program is run for a build", apiVersion, kind))
	case kind == "HelmChartInflationGenerator":
		refuse("Helm is not run")
	default:
		if entry := remoteIn(content); entry != "" {
			refuse(fmt.Sprintf("%q is not in this repository, and nothing is fetched for a build", entry))
			return
		}
		s.pluginPatch(content, file, line, field)
	}
}

// pluginPatch counts the operations of a JSON patch in a plugin's configuration.
// Kustomize reports the mistakes in it.
func (s *scanner) pluginPatch(content map[string]any, file string, line int, field string) {
	for _, key := range []string{"patch", "jsonOp", "path"} {
		text, _ := content[key].(string)
		if text == "" {
			continue
		}
		patch := []byte(text)
		if key == "path" {
			// kustomize searches the folder of the configuration, or of the
			// kustomization that names it.
			patch, _ = s.r.files.Read(path.Join(path.Dir(file), text))
			if patch == nil {
				patch, _ = s.r.files.Read(path.Join(s.k.dir, text))
			}
		}
		docs, err := s.r.files.Decode(patch)
		if err != nil {
			continue
		}
		for _, doc := range docs {
			if operations, isList := doc.Value.([]any); isList {
				s.jsonPatch(operations, field, line)
			}
		}
	}
}

// remoteIn finds an entry of a plugin's configuration that kustomize would fetch.
func remoteIn(v any) string {
	switch v := v.(type) {
	case string:
		_, file, _ := strings.Cut(v, "=") // as in key=file
		if isFetched(v) || isFetched(file) {
			return v
		}
	case []any:
		for _, item := range v {
			if found := remoteIn(item); found != "" {
				return found
			}
		}
	case map[string]any:
		for key, item := range v {
			// Values of annotations and literals may well be URLs.
			switch strings.ToLower(key) {
			case "path", "paths", "files", "envs", "env", "replacements":
				if found := remoteIn(item); found != "" {
					return found
				}
			}
		}
	}
	return ""
}
