package render

import (
	"encoding/json"
	"slices"
	"sync"

	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A base is a kustomization that was built alone, for overlays to be compared
// with and patched onto.
type base struct {
	objects []*federation.Object          // as they were built
	taken   int                           // how many of them kustomize built
	names   map[federation.ObjectRef]bool // of the objects, without hashes
	err     error
	refused bool // err says that it was not to be built
	losses  []loss
	used    uint64

	// pure says that patching what this base builds is the same as patching its
	// objects within the build of an overlay; see patched.
	pure  bool
	ids   []resid.ResId // by object
	bare  []bool        // by object: it has no annotations
	nulls []bool        // by object: kustomize drops something from it that is null once it patches it
	pods  []int         // the objects that may have images
	named namedMaps     // in any object
}

// A baseFlight is a base during one rendering, with its objects as kustomize
// holds them.
type baseFlight struct {
	*base // may be read once done is closed

	done chan struct{} // closed when the base is built

	mu      sync.Mutex // protects what follows
	parsed  []*resource.Resource
	decoded []map[string]any // nobody changes them
}

// baseOf builds a folder alone, once in a rendering and not at all where it is
// known from the last. Whoever needs it first builds it, and all others wait.
func (p *pass) baseOf(dir string) *baseFlight {
	key, err := p.key(dir)
	if err != nil {
		return &baseFlight{base: &base{err: err}}
	}
	p.passMu.Lock()
	f, ok := p.bases[dir]
	if !ok {
		f = &baseFlight{done: make(chan struct{})}
		p.bases[dir] = f
	}
	p.passMu.Unlock()
	if ok {
		<-f.done
		return f
	}
	defer close(f.done)
	f.base = p.knownBase(dir, key)
	return f
}

// knownBase returns a base from the cache, or builds it.
func (p *pass) knownBase(dir, key string) *base {
	key = dir + "@" + key // its objects name its files
	p.mu.Lock()
	b, ok := p.cache.bases[key]
	if ok {
		b.used = p.generation
	}
	p.mu.Unlock()
	if ok {
		return b
	}
	b = &base{}
	end, err := p.enter(dir, key)
	if err != nil {
		return &base{err: err, refused: true}
	}
	defer end()
	if b.err = p.buildBase(dir, b); b.err == nil {
		b.used = p.generation
		p.mu.Lock()
		p.cache.bases[key] = b
		p.mu.Unlock()
	}
	return b
}

func (p *pass) buildBase(dir string, b *base) error {
	if len(p.files.kustomizations(dir)) == 0 {
		// Read as plain files its mistakes have lines.
		objects, err := p.plain(dir)
		if err != nil || len(objects) == 0 {
			b.objects = objects
			return err
		}
	}
	made, t, err := p.kustomize(dir)
	if err != nil {
		return err
	}
	b.objects, b.nulls, b.taken, b.losses = made.objects, made.nulls, made.taken, made.losses
	b.pure = t.pure()
	b.names = make(map[federation.ObjectRef]bool, len(b.objects))
	for i, o := range b.objects {
		content, err := contentOf(o.JSON)
		if err != nil {
			return err
		}
		if mayHaveImages(content, o.JSON) {
			b.pods = append(b.pods, i)
		}
		metadata, _ := content["metadata"].(map[string]any)
		b.bare = append(b.bare, metadata["annotations"] == nil)
		b.ids = append(b.ids, idOf(o))
		b.names[t.unhashed(o.Ref)] = true
		b.named.collect(content)
	}
	return nil
}

func idOf(o *federation.Object) resid.ResId {
	gvk := o.GVK()
	return resid.NewResIdWithNamespace(resid.NewGvk(gvk.Group, gvk.Version, gvk.Kind), o.Ref.Name, o.Ref.Namespace)
}

// rest lets go of what only the rendering needed.
func (f *baseFlight) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parsed, f.decoded = nil, nil
}

// content returns object i decoded, or nil. It is not to be changed.
func (f *baseFlight) content(i int) map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.decoded == nil {
		f.decoded = make([]map[string]any, len(f.objects))
	}
	if f.decoded[i] == nil {
		f.decoded[i], _ = contentOf(f.objects[i].JSON) // what cannot be decoded is nil
	}
	return f.decoded[i]
}

// resource gives a copy of object i as kustomize holds it, or nil where reading
// it back does not give the same again.
func (f *baseFlight) resource(i int) *resource.Resource {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parsed == nil {
		f.parsed = make([]*resource.Resource, len(f.objects))
	}
	if f.parsed[i] == nil {
		r, err := provider.NewDefaultDepProvider().GetResourceFactory().FromBytes(f.objects[i].JSON)
		if err != nil {
			return nil
		}
		if again, err := r.MarshalJSON(); err != nil || string(again) != string(f.objects[i].JSON) {
			return nil
		}
		f.parsed[i] = r
	}
	return f.parsed[i].DeepCopy()
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
