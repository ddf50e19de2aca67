package kustomize

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// replacedBy maps the deprecated fields of a kustomization to their replacements
// (CheckDeprecatedFields of sigs.k8s.io/kustomize/api/types).
var replacedBy = map[string]string{
	"bases":                 "resources",
	"commonLabels":          "labels",
	"imageTags":             "images",
	"patchesJson6902":       "patches",
	"patchesStrategicMerge": "patches",
	"vars":                  "replacements",
}

// A deprecated is a deprecated field in a kustomization.
type deprecated struct {
	field string
	line  int
}

func deprecatedIn(doc strictyaml.Document) []deprecated {
	content, _ := doc.Value.(map[string]any)
	var all []deprecated
	for _, field := range slices.Sorted(maps.Keys(replacedBy)) {
		if content[field] != nil {
			all = append(all, deprecated{field, doc.Line(field)})
		}
	}
	return all
}

// Deprecations returns what kustomize would warn about at every build of the folders:
// each field once, at its first occurrence.
func (r *Revision) Deprecations(app string, folders []string) []federation.Finding {
	found := map[string][]federation.Finding{} // by deprecated field
	seen := map[string]bool{}
	queue := slices.Clone(folders)
	for len(queue) > 0 && len(seen) < r.b.limits.Kustomizations+len(folders) {
		dir := queue[0]
		queue = queue[1:]
		digest, err := r.files.Digest(dir)
		if seen[dir] || err != nil {
			continue
		}
		seen[dir] = true
		k := r.recall(scanKey{dir, forObjects}, digest)
		if k == nil {
			continue // no kustomization, or an invalid one
		}
		for _, d := range k.deprecated {
			found[d.field] = append(found[d.field], d.note(app, k.file))
		}
		for _, f := range k.folders {
			queue = append(queue, f.dir)
		}
	}
	var all []federation.Finding
	for _, field := range slices.Sorted(maps.Keys(found)) {
		first := slices.MinFunc(found[field], func(a, b federation.Finding) int { return cmp.Compare(a.File, b.File) })
		if files := len(found[field]); files > 1 {
			first.Message = untrusted.Textf("%s, here as the first of %d files", first.Message, files)
		}
		all = append(all, first)
	}
	return all
}

func (d deprecated) note(app, file string) federation.Finding {
	return federation.Finding{
		ID: federation.FindingRender, Severity: federation.SeverityNote, App: app, File: file, Line: d.line,
		Message: untrusted.New("kustomize calls " + d.field + " deprecated"),
		Remedy:  untrusted.New("use " + replacedBy[d.field] + "; kustomize edit fix rewrites the file"),
	}
}
