package kustomize

import (
	"path"
	"slices"
	"sync"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/fedsync/fedsync/pkg/render/kustomize/shortcut"
)

// This file is the only use of the shortcut. Without it, and without the line of New that
// calls newQuick, kustomize builds everything. That takes longer, and no overlay shares
// objects with its base.

// A quick builds overlays with the shortcut, and caches what the shortcut has learned
// about each base.
type quick struct {
	mu    sync.Mutex // protects bases
	bases map[*base]*shortcut.Base
}

func newQuick() *quick { return &quick{bases: map[*base]*shortcut.Base{}} }

// build builds an overlay of one base if the shortcut can.
func (q *quick) build(r *Revision, t tree) (made Product, ok bool) {
	// If this panics, kustomize's full build reports why.
	defer func() {
		if recover() != nil {
			made, ok = Product{}, false
		}
	}()
	o := t[0]
	if len(o.folders) != 1 || len(o.declared) > 0 || !o.layer().OnlyPatches() {
		return Product{}, false
	}
	below := r.baseOf(o.folders[0].dir)
	if below.err != nil {
		return Product{}, false
	}
	overlay, err := r.overlay(o)
	if err != nil {
		return Product{}, false
	}
	got, ok := q.of(below).Build(overlay)
	if !ok {
		return Product{}, false
	}
	return Product{Objects: got.Objects, nulls: got.Nulls, Taken: got.Taken}, true
}

// of returns the shortcut's Base for a base.
func (q *quick) of(b *base) *shortcut.Base {
	q.mu.Lock()
	defer q.mu.Unlock()
	p, ok := q.bases[b]
	if !ok {
		layers := make([]shortcut.Layer, len(b.tree))
		for i, k := range b.tree {
			layers[i] = k.layer()
		}
		p = shortcut.NewBase(shortcut.Result{Objects: b.Objects, Nulls: b.nulls}, layers)
		q.bases[b] = p
	}
	return p
}

// rest drops what only one revision needed, and all bases except those in kept.
func (q *quick) rest(kept map[string]*base) {
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
		p.Rest()
	}
}

// overlay returns a kustomization as a Layer, with the text of each patch in place of
// its file's name.
func (r *Revision) overlay(k *kustomization) (shortcut.Layer, error) {
	out := k.layer()
	merge, _ := k.olderPatches()
	merge = slices.Clone(merge)
	for i, entry := range merge {
		if inline(string(entry)) {
			continue
		}
		text, err := r.files.Read(path.Join(k.dir, string(entry)))
		if err != nil {
			return shortcut.Layer{}, err
		}
		merge[i] = types.PatchStrategicMerge(text)
	}
	out.PatchesStrategicMerge = merge //nolint:staticcheck // deprecated, but still built
	out.Patches = slices.Clone(out.Patches)
	for i, patch := range out.Patches {
		if patch.Path == "" || patch.Patch != "" { // kustomize refuses both
			continue
		}
		text, err := r.files.Read(path.Join(k.dir, patch.Path))
		if err != nil {
			return shortcut.Layer{}, err
		}
		out.Patches[i].Path, out.Patches[i].Patch = "", string(text)
	}
	return out, nil
}

func (k *kustomization) layer() shortcut.Layer {
	return shortcut.Layer{Kustomization: k.Kustomization, Special: k.special, JSONPatches: k.jsonPatches, ForPlugins: k.role == forPlugins}
}
