package kustomize

import (
	"github.com/fedsync/fedsync/pkg/federation"
)

// A base is a kustomization that was built alone, for overlays to be compared
// with and patched onto.
type base struct {
	Product

	tree    tree                          // what it was built of; nil for plain files without objects
	names   map[federation.ObjectRef]bool // of the objects, without hashes
	err     error
	refused bool // err says that it was not to be built
	used    uint64
}

// A baseFlight is a base that one revision needs.
type baseFlight struct {
	*base // may be read once done is closed

	done chan struct{} // closed when the base is built
}

// baseOf builds a folder alone, once in a revision and not at all where it is
// known from the last. Whoever needs it first builds it, and all others wait.
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

// knownBase returns a base that is known, or builds it.
func (r *Revision) knownBase(dir, key string) *base {
	key = dir + "@" + key // its objects name its files
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
		// Read as plain files its mistakes have lines.
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
