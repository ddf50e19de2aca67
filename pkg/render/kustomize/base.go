package kustomize

import (
	"github.com/fedsync/fedsync/pkg/federation"
)

// A base is a kustomization that was built by itself. Overlays are compared
// with it, and the shortcut patches it.
type base struct {
	Product

	tree    tree                          // its kustomizations; nil for plain files without objects
	names   map[federation.ObjectRef]bool // of the objects, without hash suffixes
	err     error
	refused bool // err reports that it must not be built
	used    uint64
}

// A baseFlight is the running or completed build of a base for one revision.
type baseFlight struct {
	*base // may be read once done is closed

	done chan struct{} // closed when the base is built
}

// baseOf builds a folder by itself: once per revision, and not if the last
// revision's is still valid. The first caller builds it, and others wait.
func (r *Revision) baseOf(dir string) *base {
	key, err := r.digest(dir)
	if err != nil {
		return &base{err: err}
	}
	r.mu.Lock()
	f, ok := r.bases[dir]
	if !ok {
		f = &baseFlight{done: make(chan struct{})}
		r.bases[dir] = f
	}
	r.mu.Unlock()
	if ok {
		<-f.done
		return f.base
	}
	defer close(f.done)
	f.base = r.knownBase(dir, key)
	return f.base
}

// knownBase returns a cached base, or builds it.
func (r *Revision) knownBase(dir, key string) *base {
	key = dir + "@" + key // its objects name its files, so equal folders differ
	r.b.mu.Lock()
	b, ok := r.b.known.bases[key]
	if ok {
		b.used = r.generation
	}
	r.b.mu.Unlock()
	if ok {
		return b
	}
	b = &base{}
	end, err := r.enter(dir, key)
	if err != nil {
		return &base{err: err, refused: true}
	}
	defer end()
	if b.err = r.buildBase(dir, b); b.err == nil {
		b.used = r.generation
		r.b.mu.Lock()
		r.b.known.bases[key] = b
		r.b.mu.Unlock()
	}
	return b
}

func (r *Revision) buildBase(dir string, b *base) error {
	if len(r.files.Kustomizations(dir)) == 0 {
		// Read as plain files, its mistakes have lines.
		objects, err := r.plain(dir)
		if err != nil || len(objects) == 0 {
			b.Objects = objects
			return err
		}
	}
	made, t, err := r.kustomize(dir)
	if err != nil {
		return err
	}
	b.Product, b.tree = made, t
	b.names = make(map[federation.ObjectRef]bool, len(b.Objects))
	for _, o := range b.Objects {
		b.names[t.unhashed(o.Ref)] = true
	}
	return nil
}
