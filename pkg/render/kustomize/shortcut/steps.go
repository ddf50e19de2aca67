package shortcut

import (
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/builtins" //nolint:staticcheck // deprecated for an API v1 that is not there; the version is pinned
	"sigs.k8s.io/kustomize/api/ifc"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/fedsync/fedsync/internal/strictyaml"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// A step is one of an overlay's patches.
type step struct {
	plugin    resmap.TransformerPlugin
	ids       []resid.ResId   // targets of a merge patch without a selector
	target    *types.Selector // selects the targets of any other patch
	replicas  *types.Replica  // the replica count that it sets
	images    bool            // applies to objects that may have images
	gift      *gift           // what it adds to every object
	json      bool
	annotates bool // whether it is a JSON patch of annotations
}

// steps reads the overlay's patches in the order in which kustomize applies them.
func (l Layer) steps() ([]step, bool) {
	plugins := resmap.NewPluginHelpers(noLoader{}, nil,
		resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory()), types.DisabledPluginConfig())
	var steps []step
	if merge := l.PatchesStrategicMerge; len(merge) > 0 { //nolint:staticcheck // deprecated, but still built
		s := step{}
		plugin := &builtins.PatchStrategicMergeTransformerPlugin{}
		for _, entry := range merge {
			if !s.read(string(entry), nil) || s.json {
				return nil, false
			}
			plugin.Paths = append(plugin.Paths, entry)
		}
		s.plugin = plugin
		steps = append(steps, s)
	}
	for _, patch := range l.Patches {
		s := step{plugin: &builtins.PatchTransformerPlugin{Patch: patch.Patch, Target: patch.Target}, target: patch.Target}
		if patch.Options != nil || patch.Path != "" || !s.read(patch.Patch, patch.Target) {
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

// read parses a patch and its targets. It returns false if the patch could
// change the identity of an object.
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
			ref := manifest.Ref(value)
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

// readJSON checks the operations of a JSON patch.
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
				// It may be any key in this spelling.
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

// choose returns the objects that a patch may apply to, by their identity.
// Selection by labels and annotations is left to the patch itself.
func (s *step) choose(b *Base) ([]int, bool) {
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
		return hits, len(hits) > 0 // none is an error, which the full build reports
	case s.target == nil:
		for _, want := range s.ids {
			i := slices.IndexFunc(ids, want.Equals)
			if i < 0 {
				return nil, false // an error, which the full build reports
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

// noLoader loads nothing: all patches are given as text.
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
