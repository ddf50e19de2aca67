package render

import (
	"maps"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/kustomize"
)

// A cache holds what was built for the last two revisions: objects as JSON, never
// kustomize's own trees, which are many times as large.
type cache struct {
	generation uint64 // counts renderings
	builds     map[string]*built
}

// forget drops what neither this rendering nor the one before used.
func (c *cache) forget() {
	maps.DeleteFunc(c.builds, func(_ string, b *built) bool { return b.used+1 < c.generation })
}

// built is what a folder builds, for whichever cluster.
type built struct {
	dir  string // the folder it was built from; another with equal content shares it
	err  error  // names files of dir
	used uint64 // the generation that used it last

	// raw are the objects as they were built; final are those of them that the
	// clusters get: in the namespace default where they name none and their kind
	// is known to be namespaced.
	raw    []*federation.Object
	size   int64 // bytes of raw
	taken  int   // objects that kustomize built or patched for it
	losses []kustomize.Loss
	final  []*federation.Object
	scopes scopes // that CustomResourceDefinitions among the objects give
	open   bool   // some object names no namespace and is of an unknown kind
	own    bool   // some object came from dir itself

	// placed remembers objects of unknown kinds once another app defined the kind.
	placed map[*federation.Object]*federation.Object
}
