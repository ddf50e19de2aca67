package kustomize

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// files checks the entries that name files but not folders, and YAML given as
// text in the kustomization itself.
func (s *scanner) files() {
	for i, entry := range s.k.Configurations {
		s.yamlFile("configurations", i, entry)
	}
	for i, entry := range s.k.Crds {
		s.yamlFile("crds", i, entry)
	}
	for i, r := range s.k.Replacements {
		if r.Path != "" {
			s.yamlFile("replacements", i, r.Path)
		}
	}
	for i, patch := range s.k.Patches {
		s.patch("patches", i, patch)
	}
	merge, jsonPatches := s.k.olderPatches()
	for i, patch := range jsonPatches {
		s.patch("patchesJson6902", i, patch)
	}
	for i, patch := range merge {
		docs := []strictyaml.Document(nil)
		if inline(string(patch)) {
			docs = s.text("patchesStrategicMerge", i, string(patch))
		} else {
			docs = s.yamlFile("patchesStrategicMerge", i, string(patch))
		}
		for _, doc := range docs {
			s.portPatch("patchesStrategicMerge", i, doc, nil)
		}
	}
	for i, g := range s.k.ConfigMapGenerator {
		s.generator("configMapGenerator", i, g.KvPairSources)
	}
	for i, g := range s.k.SecretGenerator {
		s.generator("secretGenerator", i, g.KvPairSources)
	}
}

// olderPatches returns the patches in the deprecated fields that "patches"
// replaced, which many repositories still use.
func (k *kustomization) olderPatches() ([]types.PatchStrategicMerge, []types.Patch) {
	return k.PatchesStrategicMerge, k.PatchesJson6902 //nolint:staticcheck // deprecated, but still built
}

// patch checks a patch, in a file or as text.
func (s *scanner) patch(field string, i int, patch types.Patch) {
	docs := []strictyaml.Document(nil)
	switch {
	case patch.Path != "":
		docs = s.yamlFile(field, i, patch.Path)
	case patch.Patch != "":
		docs = s.text(field, i, patch.Patch)
	}
	for _, doc := range docs {
		if _, isMap := doc.Value.(map[string]any); !isMap {
			s.k.jsonPatches = true
		}
		s.portPatch(field, i, doc, patch.Target)
		if operations, isList := doc.Value.([]any); isList {
			s.jsonPatch(operations, at(field, i), s.line(field, i))
		}
	}
}

// portPatch records a merge patch of ports.
func (s *scanner) portPatch(field string, i int, doc strictyaml.Document, target *types.Selector) {
	content, _ := doc.Value.(map[string]any)
	if lists := portLists(content); len(lists) > 0 && len(s.k.portPatches) < mostTwice {
		s.k.portPatches = append(s.k.portPatches, portPatch{
			ref: manifest.Ref(content), target: target, lists: lists, line: s.line(field, i), field: at(field, i),
		})
	}
}

// yamlFile reads a YAML file that is not a list of objects.
func (s *scanner) yamlFile(field string, i int, entry string) []strictyaml.Document {
	if !s.local(field, i, entry) || !s.inside(field, i, entry) {
		return nil
	}
	content, ok := s.read(field, i, entry)
	if !ok {
		return nil
	}
	docs, err := s.r.files.Decode(content)
	if err != nil {
		s.errs = append(s.errs, manifest.YAMLErrors(path.Join(s.k.dir, entry), err))
	}
	return docs
}

// text reads YAML given as a string in the kustomization.
func (s *scanner) text(field string, i int, text string) []strictyaml.Document {
	// If kustomize finds no object in the text, it treats it as a path.
	if isFetched(text) {
		s.refuse(at(field, i), s.line(field, i), "this begins like a URL, and nothing is fetched for a build", "")
		return nil
	}
	docs, err := s.r.files.Decode([]byte(text))
	if err != nil {
		s.refuse(at(field, i), s.line(field, i), plainText(err), "")
	}
	return docs
}

// generator checks the files that a generator reads, but not their content.
func (s *scanner) generator(field string, i int, sources types.KvPairSources) {
	entries := slices.Clone(sources.EnvSources)
	if sources.EnvSource != "" {
		entries = append(entries, sources.EnvSource)
	}
	for _, entry := range sources.FileSources {
		if _, file, keyed := strings.Cut(entry, "="); keyed {
			entry = file
		}
		entries = append(entries, entry)
	}
	var size int64
	for _, entry := range entries {
		if s.local(field, i, entry) && s.inside(field, i, entry) {
			size += s.exists(field, i, entry)
		}
	}
	// The generated object would be refused, but only after it was quoted and
	// copied.
	if size > limit.ObjectBytes {
		s.refuse(at(field, i), s.line(field, i), fmt.Sprintf("the files have %s bytes, more than the %s that an API server accepts for an object",
			limit.Number(size), limit.Number(limit.ObjectBytes)), "remove files, or split them over several generators")
	}
}

// exists returns the size of a file that must exist, in bytes.
func (s *scanner) exists(field string, i int, entry string) int64 {
	size, err := s.r.files.Size(path.Join(s.k.dir, entry))
	s.k.bytes += size
	if err != nil {
		s.refuse(at(field, i), s.line(field, i), fmt.Sprintf("%s: %s", entry, manifest.Cause(err)), "add the file, or remove the entry")
	}
	return size
}
