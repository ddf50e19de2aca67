package kustomize

import (
	"bytes"
	"slices"
	"sync"

	"sigs.k8s.io/kustomize/api/types"
)

// A shortcut builds overlays that only patch one base, or add labels, annotations, images
// and replica counts to it, without kustomize's whole build: it gives the objects
// concerned to kustomize's own plugins, and shares all others with the base. It declines
// where it is not certain of what the whole build makes; then that is to be run, which
// also words all errors.
//
// Nothing else depends on it: without the files named shortcut*.go, and the line of
// newBuilder that makes one, kustomize builds everything, and only the time differs.
//
// Why it may be done: kustomize builds an overlay by accumulating the base's
// objects, patching them, and then mending references to objects whose name has
// changed. The last step looks only at objects that carry an earlier name. Merge
// patches leave none, nor does a pure base, so patching is all that happens, and
// a patch sees nothing but the object it is applied to. A JSON patch leaves the
// earlier name, equal to the present one; the step then writes nothing but a
// namespace into maps that refer to the object, which is why no such map may be
// there.
type shortcut struct {
	mu    sync.Mutex // protects bases
	bases map[*base]*patchable
}

func newShortcut() *shortcut { return &shortcut{bases: map[*base]*patchable{}} }

// of returns what there is to know of a base. Whoever needs it first finds it out, and all
// others wait.
func (q *shortcut) of(b *base) *patchable {
	q.mu.Lock()
	p, ok := q.bases[b]
	if !ok {
		p = &patchable{base: b}
		q.bases[b] = p
	}
	q.mu.Unlock()
	p.once.Do(p.learn)
	return p
}

// rest lets go of what only one revision needed, and of all bases but those that are kept.
func (q *shortcut) rest(kept map[string]*base) {
	live := make(map[*base]bool, len(kept))
	for _, b := range kept {
		live[b] = true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for b, p := range q.bases {
		if !live[b] {
			delete(q.bases, b)
			continue
		}
		p.rest()
	}
}

// build builds a tree, and says false where kustomize is to build it.
func (q *shortcut) build(r *Revision, t tree) (made Product, ok bool) {
	// What makes kustomize panic is for its whole build to say.
	defer func() {
		if recover() != nil {
			made, ok = Product{}, false
		}
	}()
	o := t[0]
	if !o.onlyPatches() {
		return Product{}, false
	}
	below := r.baseOf(o.folders[0].dir)
	if below.err != nil {
		return Product{}, false
	}
	b := q.of(below)
	if !b.pure {
		return Product{}, false
	}
	steps, ok := r.steps(o)
	if !ok {
		return Product{}, false
	}
	common, ok := o.commonSteps()
	if !ok {
		return Product{}, false
	}
	steps = append(steps, common...)

	var (
		chosen, byJSON []int
		gifts          []gift
	)
	for _, s := range steps {
		if s.gift != nil {
			if !s.gift.plain(s) {
				return Product{}, false
			}
			gifts = append(gifts, *s.gift)
			continue
		}
		hits, ok := s.choose(b)
		if !ok {
			return Product{}, false
		}
		chosen = append(chosen, hits...)
		if !s.json {
			continue
		}
		for _, i := range hits {
			if b.bare[i] && s.annotates || b.ids[i].Namespace != "" && b.named.refer(b.ids[i]) {
				return Product{}, false
			}
		}
		byJSON = append(byJSON, hits...)
	}
	slices.Sort(chosen)
	chosen = slices.Compact(chosen)

	given, rest, ok := b.give(gifts, chosen, byJSON)
	if !ok {
		return Product{}, false
	}
	// What is null here was a null or nothing at all there, of which kustomize drops one
	// when it touches the object.
	if slices.ContainsFunc(rest, func(i int) bool { return b.nulls[i] }) {
		return Product{}, false
	}
	results, ok := b.apply(steps, rest)
	if !ok {
		return Product{}, false
	}
	made.Taken = len(rest)
	for i, object := range b.Objects {
		data, patched := results[i]
		switch {
		case given[i] != nil:
			made.add(given[i], b.nulls[i])
		case !patched:
			made.add(object, b.nulls[i])
		case data != nil:
			changed, ok := b.changed(object, data, byJSON)
			if !ok {
				return Product{}, false
			}
			made.add(changed, bytes.Contains(data, null))
		}
	}
	return made, true
}

// onlyPatches says whether a kustomization has one base and, besides it, nothing
// but patches and what is added to objects alike.
func (k *kustomization) onlyPatches() bool {
	if k.special || k.Kind != types.KustomizationKind || len(k.Resources) != 1 || len(k.folders) != 1 || len(k.declared) > 0 {
		return false
	}
	return isZero(k.uncommon())
}
