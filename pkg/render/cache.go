package render

import (
	"maps"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/kustomize"
)

// A cache holds what was built for the last two revisions. Objects are held as
// JSON, never as kustomize's own trees, which are many times as large.
type cache struct {
	generation uint64 // counts renderings
	builds     map[string]*built
}

// forget drops what neither this rendering nor the previous one used.
func (c *cache) forget() {
	maps.DeleteFunc(c.builds, func(_ string, b *built) bool { return b.used+1 < c.generation })
}

// built is the result of building a folder, for any cluster.
type built struct {
	dir  string // the folder it was built from; other folders with equal content share it
	err  error  // names files of dir
	used uint64 // the last generation that used it

	// raw has the objects as they were built. final has them as the clusters get
	// them: in the namespace default if they name none and their kind is known
	// to be namespaced.
	raw    []*federation.Object
	size   int64 // bytes of raw
	taken  int   // number of objects that kustomize built or patched
	losses []kustomize.Loss
	final  []*federation.Object
	scopes scopes // defined by CustomResourceDefinitions among the objects
	open   bool   // whether some object names no namespace and has an unknown kind
	own    bool   // whether some object came from dir itself

	// placed holds objects of unknown kinds after another app defined the kind.
	placed map[*federation.Object]*federation.Object
}
