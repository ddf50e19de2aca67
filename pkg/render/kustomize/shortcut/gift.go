package shortcut

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// A gift is what an overlay adds to every object: labels or annotations. Kustomize
// would encode each object as YAML and decode it again; here the pairs are added to
// the decoded object.
type gift struct {
	pairs map[string]string
	where []types.FieldSpec
}

// plain reports whether kustomize adds the pairs of the gift's step to an object
// unchanged. It drops annotations that control it, and some keys are not strings in
// YAML.
func (g *gift) plain(s step) bool {
	const object = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`
	content, err := manifest.Content([]byte(object))
	if err != nil {
		return false
	}
	content, ok := g.put(content, resid.NewGvk("", "v1", "ConfigMap"))
	if !ok {
		return false
	}
	want, err := json.Marshal(content)
	if err != nil {
		return false
	}
	r, err := provider.NewDefaultDepProvider().GetResourceFactory().FromBytes([]byte(object))
	if err != nil {
		return false
	}
	m, ok := mapOf([]*kyaml.RNode{&r.RNode})
	if !ok || !transform(m, []step{s}) || m.Size() != 1 {
		return false
	}
	got, err := m.Resources()[0].MarshalJSON()
	return err == nil && string(got) == string(want)
}

// put returns an object with the pairs. It returns false if the object has something
// else in their place.
func (g *gift) put(content map[string]any, kind resid.Gvk) (map[string]any, bool) {
	ok := true
	for _, at := range g.where {
		if ok && kind.IsSelected(&at.Gvk) {
			content, ok = merged(content, strings.Split(at.Path, "/"), g.pairs)
		}
	}
	return content, ok
}

// merged returns a copy of content with the pairs at a path. Values off the path are
// shared.
func merged(content map[string]any, path []string, pairs map[string]string) (map[string]any, bool) {
	out := make(map[string]any, len(content)+len(pairs))
	maps.Copy(out, content)
	if len(path) == 0 {
		for key, value := range pairs {
			out[key] = value
		}
		return out, true
	}
	var below map[string]any
	if value, there := content[path[0]]; there {
		if below, there = value.(map[string]any); !there {
			return nil, false
		}
	}
	below, ok := merged(below, path[1:], pairs)
	out[path[0]] = below
	return out, ok
}

// give adds the gifts to the objects that no other step applies to, and returns
// them by their index. The rest is left to kustomize.
func (b *Base) give(gifts []gift, chosen, byJSON []int) (given map[int]*federation.Object, rest []int, ok bool) {
	if len(gifts) == 0 {
		return nil, chosen, true
	}
	given = make(map[int]*federation.Object, len(b.objects))
	for i, o := range b.objects {
		if _, found := slices.BinarySearch(chosen, i); found {
			rest = append(rest, i)
			continue
		}
		content, ok := b.content(i), true
		for _, g := range gifts {
			if ok = ok && content != nil; ok {
				content, ok = g.put(content, b.ids[i].Gvk)
			}
		}
		if !ok {
			rest = append(rest, i)
			continue
		}
		if given[i], ok = b.made(content, o.File, byJSON); !ok {
			return nil, nil, false
		}
	}
	return given, rest, true
}
