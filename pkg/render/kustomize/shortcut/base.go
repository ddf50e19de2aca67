package shortcut

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

// A Base is what overlays patch, with what is learned about it in advance.
type Base struct {
	objects []*federation.Object // as they were built
	nulls   []bool
	layers  []Layer

	once sync.Once // fills in what follows

	// pure reports that patching the objects that the base builds is the same
	// as patching them within the build of an overlay.
	pure  bool
	ids   []resid.ResId // by object
	bare  []bool        // by object: whether it has no annotations
	pods  []int         // the objects that may have images
	named namedMaps     // in any object

	mu      sync.Mutex // protects what follows
	parsed  []*resource.Resource
	decoded []map[string]any // read-only
}

// NewBase returns a Base of what the layers built.
func NewBase(built Result, layers []Layer) *Base {
	return &Base{objects: built.Objects, nulls: built.Nulls, layers: layers}
}

func (b *Base) learn() {
	if len(b.layers) == 0 || slices.ContainsFunc(b.layers, Layer.impure) {
		return
	}
	for i, o := range b.objects {
		content := b.content(i)
		if mayHaveImages(content, o.JSON) {
			b.pods = append(b.pods, i)
		}
		metadata, _ := content["metadata"].(map[string]any)
		b.bare = append(b.bare, metadata["annotations"] == nil)
		b.ids = append(b.ids, idOf(o))
		b.named.collect(content)
	}
	b.pure = true
}

func idOf(o *federation.Object) resid.ResId {
	gvk := o.GVK()
	return resid.NewResIdWithNamespace(resid.NewGvk(gvk.Group, gvk.Version, gvk.Kind), o.Ref.Name, o.Ref.Namespace)
}

// Rest drops the caches that only one revision needs.
func (b *Base) Rest() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parsed, b.decoded = nil, nil
}

// content returns object i decoded, or nil. It must not be changed.
func (b *Base) content(i int) map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.decoded == nil {
		b.decoded = make([]map[string]any, len(b.objects))
	}
	if b.decoded[i] == nil {
		b.decoded[i], _ = manifest.Content(b.objects[i].JSON) // nil if it cannot be decoded
	}
	return b.decoded[i]
}

// resource returns a copy of object i in kustomize's form, or nil if decoding it
// does not reproduce the same object.
func (b *Base) resource(i int) *resource.Resource {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parsed == nil {
		b.parsed = make([]*resource.Resource, len(b.objects))
	}
	if b.parsed[i] == nil {
		r, err := provider.NewDefaultDepProvider().GetResourceFactory().FromBytes(b.objects[i].JSON)
		if err != nil {
			return nil
		}
		if again, err := r.MarshalJSON(); err != nil || string(again) != string(b.objects[i].JSON) {
			return nil
		}
		b.parsed[i] = r
	}
	return b.parsed[i].DeepCopy()
}

// impure reports whether a kustomization of a base renames an object, records an earlier
// name, or configures where kustomize finds references to names. Otherwise no object's
// result depends on another object.
func (l Layer) impure() bool {
	if l.Special || l.JSONPatches || l.ForPlugins || l.Kind != types.KustomizationKind {
		return true
	}
	for _, patch := range l.Patches {
		if patch.Options != nil {
			return true
		}
	}
	left := l.unpatched()
	left.CommonAnnotations = nil
	left.CommonLabels = nil //nolint:staticcheck // deprecated, but still built
	left.Labels = nil
	left.Images = nil
	left.Replicas = nil
	return !isZero(left)
}

// isZero reports whether a kustomization is empty.
func isZero(k types.Kustomization) bool {
	data, err := json.Marshal(k)
	return err == nil && string(data) == "{}"
}

// namedMaps records the maps with a "name" in a set of objects: the namespaces
// next to the name, by name. If kustomize takes such a map for a reference, it
// writes the namespace of the object into it.
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

// leads reports whether references pass through the maps under a key but are never
// such a map themselves: the parts of a pod that have their own names.
func leads(key string) bool {
	switch key {
	case "containers", "initContainers", "ephemeralContainers", "ports", "env", "volumes", "volumeMounts":
		return true
	}
	return false
}

// refer reports whether one of the maps may be a reference to the object, into
// which kustomize would write the namespace.
func (n namedMaps) refer(id resid.ResId) bool {
	for _, namespace := range n[id.Name] {
		if namespace != id.Namespace {
			return true
		}
	}
	return false
}
