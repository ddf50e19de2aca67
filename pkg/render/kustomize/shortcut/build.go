package shortcut

import (
	"slices"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// A Layer is one of the kustomizations of a build. An overlay has the text of each patch in
// place of its file's name.
type Layer struct {
	types.Kustomization

	Special     bool // its files control kustomize
	JSONPatches bool // it has a JSON patch
	ForPlugins  bool // its objects configure plugins
}

// A Result is the result of building an overlay or a base.
type Result struct {
	Objects []*federation.Object
	Nulls   []bool // by object: whether kustomize drops a null from it when it patches it
	Taken   int    // number of patched objects
}

func (r *Result) add(o *federation.Object, null bool) {
	r.Objects, r.Nulls = append(r.Objects, o), append(r.Nulls, null)
}

// Build builds an overlay that only patches the base. It returns false if the result
// might differ from kustomize's full build.
func (b *Base) Build(o Layer) (made Result, ok bool) {
	b.once.Do(b.learn)
	if !b.pure {
		return Result{}, false
	}
	steps, ok := o.steps()
	if !ok {
		return Result{}, false
	}
	common, ok := o.commonSteps()
	if !ok {
		return Result{}, false
	}
	steps = append(steps, common...)

	var (
		chosen, byJSON []int
		gifts          []gift
	)
	for _, s := range steps {
		if s.gift != nil {
			if !s.gift.plain(s) {
				return Result{}, false
			}
			gifts = append(gifts, *s.gift)
			continue
		}
		hits, ok := s.choose(b)
		if !ok {
			return Result{}, false
		}
		chosen = append(chosen, hits...)
		if !s.json {
			continue
		}
		for _, i := range hits {
			if b.bare[i] && s.annotates || b.ids[i].Namespace != "" && b.named.refer(b.ids[i]) {
				return Result{}, false
			}
		}
		byJSON = append(byJSON, hits...)
	}
	slices.Sort(chosen)
	chosen = slices.Compact(chosen)

	given, rest, ok := b.give(gifts, chosen, byJSON)
	if !ok {
		return Result{}, false
	}
	// A null here was either a null or missing there, and kustomize drops one of the two
	// when it patches the object.
	if slices.ContainsFunc(rest, func(i int) bool { return b.nulls[i] }) {
		return Result{}, false
	}
	results, ok := b.apply(steps, rest)
	if !ok {
		return Result{}, false
	}
	made.Taken = len(rest)
	for i, object := range b.objects {
		data, patched := results[i]
		switch {
		case given[i] != nil:
			made.add(given[i], b.nulls[i])
		case !patched:
			made.add(object, b.nulls[i])
		case data != nil:
			changed, ok := b.changed(object, data, byJSON)
			if !ok {
				return Result{}, false
			}
			made.add(changed, manifest.MayHaveNull(data))
		}
	}
	return made, true
}

// OnlyPatches reports whether an overlay has only its base, patches, and additions to all
// objects.
func (l Layer) OnlyPatches() bool {
	return !l.Special && l.Kind == types.KustomizationKind && len(l.Resources) == 1 && isZero(l.uncommon())
}
