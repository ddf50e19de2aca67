package render

import (
	"cmp"
	"maps"
	"slices"

	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
)

// replacedBy are the fields of a kustomization that kustomize warns of, and what it has in
// their place (CheckDeprecatedFields of sigs.k8s.io/kustomize/api/types).
var replacedBy = map[string]string{
	"bases":                 "resources",
	"commonLabels":          "labels",
	"imageTags":             "images",
	"patchesJson6902":       "patches",
	"patchesStrategicMerge": "patches",
	"vars":                  "replacements",
}

// A deprecated is a field that a kustomization has and should not.
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

// deprecations notes once for an app what kustomize would warn of at every build, each
// field where it stands first.
func (p *pass) deprecations(a *app) []federation.Finding {
	found := map[string][]federation.Finding{} // by field
	seen := map[string]bool{}
	queue := a.folders()
	for len(queue) > 0 && len(seen) < p.limits.Kustomizations+len(a.overlays) {
		dir := queue[0]
		queue = queue[1:]
		if seen[dir] {
			continue
		}
		seen[dir] = true
		digest, err := p.files.digest(dir)
		if err != nil {
			continue // the build says so
		}
		k := p.recall(scanKey{dir, forObjects}, digest)
		if k == nil {
			continue // it has none, or is made up, or wrong
		}
		for _, d := range k.deprecated {
			found[d.field] = append(found[d.field], federation.Finding{
				ID: "render", Severity: federation.SeverityNote, App: a.Name, File: k.file, Line: d.line,
				Message: untrusted.New("kustomize calls " + d.field + " deprecated"),
				Remedy:  untrusted.New("use " + replacedBy[d.field] + "; kustomize edit fix rewrites the file"),
			})
		}
		for _, f := range k.folders {
			queue = append(queue, f.dir)
		}
	}
	var all []federation.Finding
	for _, field := range slices.Sorted(maps.Keys(found)) {
		first := slices.MinFunc(found[field], func(a, b federation.Finding) int { return cmp.Compare(a.File, b.File) })
		if more := len(found[field]) - 1; more > 0 {
			first.Message = untrusted.Textf("%s, here and in %d more files", first.Message, more)
		}
		all = append(all, first)
	}
	return all
}
