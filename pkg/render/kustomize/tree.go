package kustomize

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// A tree is a kustomization with all those that it builds on, each as often as
// it is referenced, from the top down.
type tree []*kustomization

// grow reads the tree of a folder, within the limits.
func (r *Revision) grow(dir string) (tree, error) {
	var (
		t       tree
		errs    []error
		plugins []pluginFolder // folders come before those that use them
	)
	total := 0
	var visit func(dir string, as role, above []reference)
	visit = func(dir string, as role, above []reference) {
		k, err := r.scan(dir, as)
		t = append(t, k)
		if err != nil {
			errs = append(errs, err)
		}
		total += len(k.declared)
		for _, child := range k.folders {
			next := append(slices.Clip(above), child)
			blame := &manifest.Error{File: k.file, Line: child.line, Field: child.field}
			switch {
			case slices.ContainsFunc(above, func(one reference) bool { return one.dir == child.dir || manifest.Within(one.dir, child.dir) }):
				blame.Reason = child.dir + " contains this kustomization or is built on it, which is a cycle"
			case len(next) > r.b.limits.Depth:
				blame.Reason = fmt.Sprintf("kustomizations are built on one another deeper than %d", r.b.limits.Depth)
			case len(t) >= r.b.limits.Kustomizations:
				blame.Reason = fmt.Sprintf("the build visits more than %d kustomizations", r.b.limits.Kustomizations)
			case total > r.b.limits.Objects:
				blame.Reason = fmt.Sprintf("the build has more than %d objects", r.b.limits.Objects)
			default:
				visit(child.dir, child.role, next)
				if child.configures() {
					plugins = append(plugins, pluginFolder{k, child})
				}
				continue
			}
			errs = append(errs, blame)
		}
	}
	visit(dir, forObjects, []reference{{dir: dir}})
	if len(errs) == 0 && total > r.b.limits.Objects {
		errs = append(errs, &manifest.Error{File: t[0].file, Reason: fmt.Sprintf("the build has more than %d objects", r.b.limits.Objects)})
	}
	if len(errs) == 0 && t.growth() > maxGrowth {
		errs = append(errs, &manifest.Error{
			File: t.copier(), Reason: fmt.Sprintf("the copy operations in the build's JSON patches may grow its objects to more than %d MiB", maxGrowth>>20),
			Remedy: "add the values instead of copying them, or patch fewer objects",
		})
	}
	if len(errs) == 0 {
		errs = r.checkBuilt(plugins)
	}
	if len(errs) > 0 {
		return nil, manifest.Join(slices.CompactFunc(errs, func(a, b error) bool { return a.Error() == b.Error() }))
	}
	return t, nil
}

// file returns the file that an object came from: the one that declares it, the one
// that declares it under an earlier name, or the kustomization that generates it.
func (t tree) file(ref federation.ObjectRef) string {
	exact, renamed := "", ""
	for _, k := range t {
		for _, d := range k.declared {
			switch {
			case d.ref.Kind != ref.Kind || d.ref.Group != ref.Group:
			case d.ref.Name == ref.Name && d.ref.Namespace == ref.Namespace:
				return d.file
			case d.ref.Name == ref.Name && exact == "":
				exact = d.file
			case strings.Contains(ref.Name, d.ref.Name) && renamed == "" && d.ref.Name != "":
				renamed = d.file
			}
		}
	}
	if exact != "" {
		return exact
	}
	for _, k := range t {
		for _, name := range k.generated(ref.Kind) {
			if strings.Contains(ref.Name, name) {
				return k.file
			}
		}
	}
	if renamed != "" {
		return renamed
	}
	return t[0].file
}

// generated lists the names of the objects of a kind that the kustomization's
// generators create, without prefix, suffix and hash.
func (k *kustomization) generated(kind string) []string {
	var names []string
	switch kind {
	case "ConfigMap":
		for _, g := range k.ConfigMapGenerator {
			names = append(names, g.Name)
		}
	case "Secret":
		for _, g := range k.SecretGenerator {
			names = append(names, g.Name)
		}
	}
	return names
}

// unhashed removes the content hash from the name of a generated object. Such
// names may differ between clusters.
func (t tree) unhashed(ref federation.ObjectRef) federation.ObjectRef {
	if ref.Namespace == "" {
		ref.Namespace = manifest.DefaultNamespace
	}
	if ref.Kind != "ConfigMap" && ref.Kind != "Secret" || !hashSuffix.MatchString(ref.Name) {
		return ref
	}
	name := hashSuffix.ReplaceAllString(ref.Name, "")
	for _, k := range t {
		for _, generated := range k.generated(ref.Kind) {
			if strings.Contains(name, generated) {
				ref.Name = name
				return ref
			}
		}
	}
	return ref
}

// hashSuffix matches what kustomize's hasher appends to a name: ten of these
// characters.
var hashSuffix = regexp.MustCompile(`-[bcdfghkmt2456789]{10}$`)

// digest identifies the result of building a folder by the digests of all folders that
// the build can read, and by their relative paths.
func (r *Revision) digest(dir string) (string, error) {
	h := sha256.New()
	seen := map[string]bool{}
	queue := []string{dir}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		if len(seen) > r.b.limits.Kustomizations {
			break // the build will be refused
		}
		digest, err := r.files.Digest(name)
		if err != nil {
			return "", fmt.Errorf("digest of %s: %w", name, err)
		}
		h.Write(fmt.Appendf(nil, "%s\x00%s\x00%d\x00", relative(dir, name), digest, len(r.made[madeIn(name)])))
		queue = append(queue, r.elsewhere(name, digest)...)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// elsewhere lists what the kustomization of a folder reads outside the folder.
func (r *Revision) elsewhere(dir, digest string) []string {
	// Cached scans are reused: 1,000 overlays are checked in milliseconds.
	if k := r.recall(scanKey{dir, forObjects}, digest); k != nil {
		return k.elsewhere
	}
	if len(r.files.Kustomizations(dir)) == 0 {
		return nil
	}
	k, _ := r.scan(dir, forObjects) // its mistakes are reported when it is built
	return k.elsewhere
}

// relative returns the path from one folder to another.
func relative(from, to string) string {
	if from == to {
		return "."
	}
	a, b := strings.Split(from, "/"), strings.Split(to, "/")
	if from == "." {
		a = nil
	}
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	return path.Join(strings.Repeat("../", len(a)-same), path.Join(b[same:]...))
}
