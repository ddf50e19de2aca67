package render

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // deprecated for an API v1 that is not there; the version is pinned
	"sigs.k8s.io/kustomize/api/ifc"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	"sigs.k8s.io/kustomize/kyaml/resid"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/pkg/federation"
)

// patched builds an overlay that only patches one base, or adds labels, annotations,
// images and replica counts to it, by giving the objects concerned to kustomize's own
// plugins and sharing all others with the base. It says false where that is not certain to be what kustomize's
// whole build gives; then that is to be run, which also words all errors.
//
// Why it may be done: kustomize builds an overlay by accumulating the base's
// objects, patching them, and then mending references to objects whose name has
// changed. The last step looks only at objects that carry an earlier name. Merge
// patches leave none, nor does a pure base, so patching is all that happens, and
// a patch sees nothing but the object it is applied to. A JSON patch leaves the
// earlier name, equal to the present one; the step then writes nothing but a
// namespace into maps that refer to the object, which is why no such map may be
// there.
func (p *pass) patched(t tree) (made product, ok bool) {
	// What makes kustomize panic is for its whole build to say.
	defer func() {
		if r := recover(); r != nil {
			made, ok = product{}, false
		}
	}()
	o := t[0]
	if !o.onlyPatches() {
		return product{}, false
	}
	b := p.baseOf(o.folders[0].dir)
	if b.err != nil || !b.pure {
		return product{}, false
	}
	steps, ok := p.steps(o)
	if !ok {
		return product{}, false
	}
	common, ok := o.commonSteps()
	if !ok {
		return product{}, false
	}
	steps = append(steps, common...)

	var (
		chosen, byJSON []int
		gifts          []gift
	)
	for _, s := range steps {
		if s.gift != nil {
			if !s.gift.plain(s) {
				return product{}, false
			}
			gifts = append(gifts, *s.gift)
			continue
		}
		hits, ok := s.choose(b.base)
		if !ok {
			return product{}, false
		}
		chosen = append(chosen, hits...)
		if !s.json {
			continue
		}
		for _, i := range hits {
			if b.bare[i] && s.annotates || b.ids[i].Namespace != "" && b.named.refer(b.ids[i]) {
				return product{}, false
			}
		}
		byJSON = append(byJSON, hits...)
	}
	slices.Sort(chosen)
	chosen = slices.Compact(chosen)

	given, rest, ok := b.give(gifts, chosen, byJSON)
	if !ok {
		return product{}, false
	}
	// What is null here was a null or nothing at all there, of which kustomize drops one
	// when it touches the object.
	if slices.ContainsFunc(rest, func(i int) bool { return b.nulls[i] }) {
		return product{}, false
	}
	results, ok := b.apply(steps, rest)
	if !ok {
		return product{}, false
	}
	made.taken = len(rest)
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
				return product{}, false
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

// A step is one of an overlay's patches.
type step struct {
	plugin    resmap.TransformerPlugin
	ids       []resid.ResId   // what a merge patch without a target is for
	target    *types.Selector // what a patch with one is for
	replicas  *types.Replica  // whose count it sets
	images    bool            // it is for what may have images
	gift      *gift           // what it puts into every object
	json      bool
	annotates bool // a JSON patch of annotations
}

// steps reads the overlay's patches in the order in which kustomize applies them.
func (p *pass) steps(k *kustomization) ([]step, bool) {
	plugins := resmap.NewPluginHelpers(noLoader{}, nil,
		resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory()), types.DisabledPluginConfig())
	var steps []step
	if merge, _ := k.olderPatches(); len(merge) > 0 {
		s := step{}
		plugin := &builtins.PatchStrategicMergeTransformerPlugin{}
		for _, entry := range merge {
			text, ok := p.patchText(k, string(entry), inline(string(entry)))
			if !ok || !s.read(text, nil) || s.json {
				return nil, false
			}
			plugin.Paths = append(plugin.Paths, types.PatchStrategicMerge(text))
		}
		s.plugin = plugin
		steps = append(steps, s)
	}
	for _, patch := range k.Patches {
		if patch.Options != nil || patch.Path != "" && patch.Patch != "" {
			return nil, false
		}
		text, ok := patch.Patch, true
		if patch.Path != "" {
			text, ok = p.patchText(k, patch.Path, false)
		}
		s := step{plugin: &builtins.PatchTransformerPlugin{Patch: text, Target: patch.Target}, target: patch.Target}
		if !ok || !s.read(text, patch.Target) {
			return nil, false
		}
		steps = append(steps, s)
	}
	for _, s := range steps {
		if err := s.plugin.Config(plugins, []byte("{}")); err != nil {
			return nil, false
		}
	}
	return steps, true
}

func (p *pass) patchText(k *kustomization, entry string, isText bool) (string, bool) {
	if isText {
		return entry, true
	}
	content, err := p.files.read(path.Join(k.dir, entry))
	return string(content), err == nil
}

// read finds out what a patch is for. It says false where a patch could change
// the identity of an object.
func (s *step) read(text string, target *types.Selector) bool {
	docs, err := strictyaml.Decode([]byte(text))
	if err != nil || len(docs) == 0 {
		return false
	}
	for _, doc := range docs {
		switch value := doc.Value.(type) {
		case map[string]any:
			if _, isList := value["items"]; isList {
				return false
			}
			ref := refOf(value)
			apiVersion, _ := value["apiVersion"].(string)
			group, version := resid.ParseGroupVersion(apiVersion)
			s.ids = append(s.ids, resid.NewResIdWithNamespace(resid.NewGvk(group, version, ref.Kind), ref.Name, ref.Namespace))
		case []any:
			s.json = true
			if len(docs) > 1 || target == nil || !s.readJSON(value) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// readJSON looks at the operations of a JSON patch.
func (s *step) readJSON(operations []any) bool {
	for _, o := range operations {
		operation, ok := o.(map[string]any)
		if !ok {
			return false
		}
		for _, field := range []string{"path", "from"} {
			pointer, ok := operation[field].(string)
			switch {
			case !ok && (field == "path" || operation[field] != nil):
				return false
			case !ok:
			case strings.Contains(pointer, "~"):
				// It may be any key, spelt so.
				if !strings.HasPrefix(pointer, "/metadata/annotations/") && !strings.HasPrefix(pointer, "/metadata/labels/") && !strings.HasPrefix(pointer, "/spec/") && !strings.HasPrefix(pointer, "/data/") {
					return false
				}
				s.annotates = s.annotates || strings.HasPrefix(pointer, "/metadata/annotations/")
			case pointer == "", pointer == "/metadata", pointer == "/metadata/name", pointer == "/metadata/namespace", pointer == "/kind", pointer == "/apiVersion":
				return false
			case pointer == "/metadata/annotations" || strings.HasPrefix(pointer, "/metadata/annotations/"):
				s.annotates = true
			}
		}
	}
	return true
}

// choose gives the objects that a patch may be for, going by their identity. What
// of a target goes by labels and annotations is left to the patch itself.
func (s *step) choose(b *base) ([]int, bool) {
	var hits []int
	ids := b.ids
	switch {
	case s.images:
		return b.pods, true
	case s.replicas != nil:
		for i, id := range ids {
			if id.Name == s.replicas.Name && counts(id.Gvk) {
				hits = append(hits, i)
			}
		}
		return hits, len(hits) > 0 // none is an error, which the whole build words
	case s.target == nil:
		for _, want := range s.ids {
			i := slices.IndexFunc(ids, want.Equals)
			if i < 0 {
				return nil, false // an error, which the whole build words
			}
			hits = append(hits, i)
		}
		return hits, true
	}
	expression, err := types.NewSelectorRegex(s.target)
	if err != nil {
		return nil, false
	}
	for i, id := range ids {
		if expression.MatchNamespace(id.EffectiveNamespace()) && expression.MatchName(id.Name) && expression.MatchGvk(id.Gvk) {
			hits = append(hits, i)
		}
	}
	return hits, true
}

// apply gives what the patches make of the chosen objects, as JSON; nil for one
// that they delete.
func (f *baseFlight) apply(steps []step, chosen []int) (map[int][]byte, bool) {
	if len(chosen) == 0 {
		return nil, true
	}
	nodes := make([]*kyaml.RNode, len(chosen))
	results := make(map[int][]byte, len(chosen))
	for n, i := range chosen {
		r := f.resource(i)
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
		if !known || r.CurId() != f.ids[i] {
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

// mapOf makes a map of nodes that are known to have names of their own. To add them one
// by one compares each with all others.
func mapOf(nodes []*kyaml.RNode) (resmap.ResMap, bool) {
	m := resmap.New()
	err := m.ApplyFilter(kio.FilterFunc(func([]*kyaml.RNode) ([]*kyaml.RNode, error) { return nodes, nil }))
	return m, err == nil && m.Size() == len(nodes)
}

// transform takes the steps, and takes off what kustomize notes meanwhile.
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

// changed makes the object that a patch made of another.
func (f *baseFlight) changed(object *federation.Object, data []byte, byJSON []int) (*federation.Object, bool) {
	if string(data) == string(object.JSON) {
		return object, true
	}
	content, err := contentOf(data)
	if err != nil {
		return nil, false
	}
	return f.made(content, object.File, byJSON)
}

// made makes an object of what an overlay made of one of the base. It says false
// where the whole build is to judge it.
func (f *baseFlight) made(content map[string]any, file string, byJSON []int) (*federation.Object, bool) {
	if len(check(content)) > 0 {
		return nil, false
	}
	o, err := newObject(content, file)
	if err != nil {
		return nil, false
	}
	if len(byJSON) > 0 {
		var named namedMaps
		named.collect(content)
		for _, i := range byJSON {
			if f.ids[i].Namespace != "" && named.refer(f.ids[i]) {
				return nil, false
			}
		}
	}
	return o, true
}

// noLoader loads nothing: the patches are given as text.
type noLoader struct{}

var _ ifc.Loader = noLoader{}

func (noLoader) Repo() string { return "" }
func (noLoader) Root() string { return "/" }
func (noLoader) New(dir string) (ifc.Loader, error) {
	return nil, fmt.Errorf("%s: a patch loads no folder", dir)
}

func (noLoader) Load(name string) ([]byte, error) {
	return nil, fmt.Errorf("%s: a patch loads no file", name)
}
func (noLoader) Cleanup() error { return nil }
