package kustomize

import (
	"strings"

	"sigs.k8s.io/kustomize/api/resmap"

	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// configures reports whether the reference names a folder whose objects configure
// the plugins of the kustomization with the reference.
func (r reference) configures() bool {
	for _, list := range []string{"generators[", "transformers[", "validators["} {
		if strings.HasPrefix(r.field, list) {
			return true
		}
	}
	return false
}

// A pluginFolder is a folder of plugins and the kustomization that names it.
type pluginFolder struct {
	k  *kustomization
	at reference
}

// checkBuilt builds folders of plugins and checks the results. Checking their files
// is not enough: a patch in a folder may turn a path into a URL, or a plugin into a
// program. It stops at the first refused folder, since later ones may use it.
func (r *Revision) checkBuilt(folders []pluginFolder) []error {
	for _, f := range folders {
		m, err := r.krusty(f.at.dir, r.made)
		if err != nil {
			return []error{&manifest.Error{File: f.k.file, Line: f.at.line, Field: f.at.field, Reason: plainText(err)}}
		}
		judged := *f.k // a copy, because other builds share it
		s := scanner{r: r, k: &judged}
		for _, content := range contents(m) {
			s.plugin(content, f.k.file, f.at.line, f.at.field)
		}
		if len(s.errs) > 0 {
			return s.errs
		}
	}
	return nil
}

// contents returns the content of a build's objects.
func contents(m resmap.ResMap) []map[string]any {
	all := make([]map[string]any, 0, m.Size())
	for _, r := range m.Resources() {
		content, err := r.Map()
		if err != nil {
			content = nil // not a known plugin
		}
		all = append(all, content)
	}
	return all
}
