package shortcut

import (
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// apply returns the chosen objects after the patches, as JSON; nil for an object
// that they delete.
func (b *Base) apply(steps []step, chosen []int) (map[int][]byte, bool) {
	if len(chosen) == 0 {
		return nil, true
	}
	nodes := make([]*kyaml.RNode, len(chosen))
	results := make(map[int][]byte, len(chosen))
	for n, i := range chosen {
		r := b.resource(i)
		if r == nil {
			return nil, false
		}
		nodes[n] = &r.RNode
		results[i] = nil
	}
	m, ok := mapOf(nodes)
	if !ok {
		return nil, false
	}
	index := make(map[any]int, len(chosen))
	for n, r := range m.Resources() {
		index[r] = chosen[n]
	}
	if !transform(m, steps) {
		return nil, false
	}
	for _, r := range m.Resources() {
		i, known := index[r]
		if !known || r.CurId() != b.ids[i] {
			return nil, false
		}
		if _, err := r.GetValidatedMetadata(); err != nil {
			return nil, false
		}
		data, err := r.MarshalJSON()
		if err != nil {
			return nil, false
		}
		results[i] = data
	}
	return results, true
}

// mapOf returns a map of nodes whose names are known to be unique. Adding them one by
// one would compare each with all others.
func mapOf(nodes []*kyaml.RNode) (resmap.ResMap, bool) {
	m := resmap.New()
	err := m.ApplyFilter(kio.FilterFunc(func([]*kyaml.RNode) ([]*kyaml.RNode, error) { return nodes, nil }))
	return m, err == nil && m.Size() == len(nodes)
}

// transform applies the steps, and removes the annotations that kustomize adds.
func transform(m resmap.ResMap, steps []step) bool {
	for _, s := range steps {
		if err := s.plugin.Transform(m); err != nil {
			return false
		}
		m.DropEmpties()
	}
	m.RemoveBuildAnnotations()
	return m.RemoveOriginAnnotations() == nil && m.RemoveTransformerAnnotations() == nil
}

// changed returns the object that results from patching another.
func (b *Base) changed(object *federation.Object, data []byte, byJSON []int) (*federation.Object, bool) {
	if string(data) == string(object.JSON) {
		return object, true
	}
	content, err := manifest.Content(data)
	if err != nil {
		return nil, false
	}
	return b.made(content, object.File, byJSON)
}

// made returns the object with the content that an overlay produced from an
// object of the base. It returns false if the full build must check it.
func (b *Base) made(content map[string]any, file string, byJSON []int) (*federation.Object, bool) {
	o, wrong := manifest.Object(content, func(federation.ObjectRef) string { return file })
	if len(wrong) > 0 {
		return nil, false
	}
	if len(byJSON) > 0 {
		var named namedMaps
		named.collect(content)
		for _, i := range byJSON {
			if b.ids[i].Namespace != "" && named.refer(b.ids[i]) {
				return nil, false
			}
		}
	}
	return o, true
}
