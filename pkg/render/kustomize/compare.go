package kustomize

import (
	"fmt"
	"maps"
	"path"

	"sigs.k8s.io/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// compare refuses an overlay that changes the name, namespace or kind of an
// object of its base: these must be equal in every cluster. An overlay may add
// and delete objects, and the hash in the name of a generated object may differ.
func (r *Revision) compare(base string, t tree, objects []*federation.Object) error {
	// A base that fails when built by itself has no names to compare with; its
	// overlay fixed it.
	names := r.baseOf(base).names
	kept, unknown := map[federation.ObjectRef]bool{}, map[federation.ObjectRef]bool{}
	for _, o := range objects {
		if ref := t.unhashed(o.Ref); names[ref] {
			kept[ref] = true
		} else {
			unknown[o.Ref] = true
		}
	}
	if len(kept) == len(names) || len(unknown) == 0 {
		return nil // nothing was renamed: objects were only removed, or only added
	}
	return r.renamed(base, t, objects, unknown)
}

// renamed lets kustomize trace the file of each unknown object: an object from
// the base has lost the name that it had there.
func (r *Revision) renamed(base string, t tree, objects []*federation.Object, unknown map[federation.ObjectRef]bool) error {
	k, dir := t[0], t[0].dir
	traced := k.Kustomization
	traced.BuildMetadata = []string{"originAnnotations"}
	content, err := yaml.Marshal(traced)
	if err != nil {
		return fmt.Errorf("trace %s: %w", k.file, err)
	}
	made := maps.Clone(r.made)
	made[k.file] = content
	m, err := r.krusty(dir, made)
	if err != nil {
		return &manifest.Error{File: k.file, Reason: plainText(err)}
	}
	resources := m.Resources()
	if len(resources) != len(objects) {
		return &manifest.Error{File: k.file, Reason: "the objects cannot be traced to the base: the overlay builds different objects when kustomize traces them"}
	}
	var errs []error
	for i, o := range objects {
		if !unknown[o.Ref] {
			continue
		}
		origin, err := resources[i].GetOrigin()
		if err != nil || origin == nil {
			continue
		}
		from := origin.Path
		if from == "" {
			from = origin.ConfiguredIn
		}
		if file := path.Join(dir, from); manifest.Within(file, base) {
			errs = append(errs, &manifest.Error{
				File:   k.file,
				Field:  o.Ref.String(),
				Reason: fmt.Sprintf("an object of %s has another kind, name or namespace here; these must be equal in every cluster", file),
				Remedy: "set namePrefix, nameSuffix, namespace and patches of these only in the base",
			})
		}
	}
	return manifest.JoinOrNil(errs)
}
