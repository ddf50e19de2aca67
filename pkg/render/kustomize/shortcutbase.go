package kustomize

import (
	"encoding/json"
	"slices"
	"sync"

	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// A patchable is a base and what there is to know of it before it is patched.
type patchable struct {
	*base

	once sync.Once // learns what follows

	// pure says that patching what the base builds is the same as patching its
	// objects within the build of an overlay; see shortcut.
	pure  bool
	ids   []resid.ResId // by object
	bare  []bool        // by object: it has no annotations
	pods  []int         // the objects that may have images
	named namedMaps     // in any object

	mu      sync.Mutex // protects what follows
	parsed  []*resource.Resource
	decoded []map[string]any // nobody changes them
}

func (p *patchable) learn() {
	if len(p.tree) == 0 || !p.tree.pure() {
		return
	}
	for i, o := range p.Objects {
		content := p.content(i)
		if mayHaveImages(content, o.JSON) {
			p.pods = append(p.pods, i)
		}
		metadata, _ := content["metadata"].(map[string]any)
		p.bare = append(p.bare, metadata["annotations"] == nil)
		p.ids = append(p.ids, idOf(o))
		p.named.collect(content)
	}
	p.pure = true
}

func idOf(o *federation.Object) resid.ResId {
	gvk := o.GVK()
	return resid.NewResIdWithNamespace(resid.NewGvk(gvk.Group, gvk.Version, gvk.Kind), o.Ref.Name, o.Ref.Namespace)
}

// rest lets go of what only one revision needed.
func (p *patchable) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parsed, p.decoded = nil, nil
}

// content returns object i decoded, or nil. It is not to be changed.
func (p *patchable) content(i int) map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.decoded == nil {
		p.decoded = make([]map[string]any, len(p.Objects))
	}
	if p.decoded[i] == nil {
		p.decoded[i], _ = manifest.Content(p.Objects[i].JSON) // what cannot be decoded is nil
	}
	return p.decoded[i]
}

// resource gives a copy of object i as kustomize holds it, or nil where reading
// it back does not give the same again.
func (p *patchable) resource(i int) *resource.Resource {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parsed == nil {
		p.parsed = make([]*resource.Resource, len(p.Objects))
	}
	if p.parsed[i] == nil {
		r, err := provider.NewDefaultDepProvider().GetResourceFactory().FromBytes(p.Objects[i].JSON)
		if err != nil {
			return nil
		}
		if again, err := r.MarshalJSON(); err != nil || string(again) != string(p.Objects[i].JSON) {
			return nil
		}
		p.parsed[i] = r
	}
	return p.parsed[i].DeepCopy()
}

// pure says whether nothing in the tree renames an object, keeps an earlier name
// of one, or tells kustomize where names are referred to. Then no object's result
// depends on another object.
func (t tree) pure() bool {
	for _, k := range t {
		if k.special || k.jsonPatches || k.role != forObjects || k.Kind != types.KustomizationKind {
			return false
		}
		for _, patch := range k.Patches {
			if patch.Options != nil {
				return false
			}
		}
		left := k.unpatched()
		left.CommonAnnotations = nil
		left.CommonLabels = nil //nolint:staticcheck // deprecated, and still built
		left.Labels = nil
		left.Images = nil
		left.Replicas = nil
		if !isZero(left) {
			return false
		}
	}
	return true
}

// isZero says whether a kustomization says nothing.
func isZero(k types.Kustomization) bool {
	data, err := json.Marshal(k)
	return err == nil && string(data) == "{}"
}

// namedMaps are the maps with a "name" in a set of objects, by that name, with
// the namespaces beside it. Where kustomize follows a reference to a map it
// writes the namespace of the object referred to into it.
type namedMaps map[string][]string

// collect adds the maps of an object.
func (n *namedMaps) collect(content map[string]any) {
	if *n == nil {
		*n = namedMaps{}
	}
	for key, value := range content {
		if key != "metadata" {
			n.walk(key, value)
		}
	}
}

func (n namedMaps) walk(key string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if name, ok := v["name"].(string); ok && !leads(key) {
			namespace, _ := v["namespace"].(string)
			if !slices.Contains(n[name], namespace) {
				n[name] = append(n[name], namespace)
			}
		}
		for k, value := range v {
			n.walk(k, value)
		}
	case []any:
		for _, item := range v {
			n.walk(key, item)
		}
	}
}

// leads says whether references lead through the maps under a key and never end
// at them: the parts of a pod that have names of their own.
func leads(key string) bool {
	switch key {
	case "containers", "initContainers", "ephemeralContainers", "ports", "env", "volumes", "volumeMounts":
		return true
	}
	return false
}

// refer says whether a reference to the object may be among the maps, of which
// kustomize would write the namespace.
func (n namedMaps) refer(id resid.ResId) bool {
	for _, namespace := range n[id.Name] {
		if namespace != id.Namespace {
			return true
		}
	}
	return false
}
