package kustomize

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// Limits bound the cost of building a repository. A zero limit means its
// default.
type Limits struct {
	FileBytes      int64 // of one file; 4 MiB
	Bytes          int64 // of all files that one build reads; 64 MiB
	Objects        int   // of one app in one cluster; 10,000
	Depth          int   // of kustomizations built on one another; 16
	Kustomizations int   // that one build visits; 500
}

// WithDefaults returns the limits, with defaults in place of zeros.
func (l Limits) WithDefaults() Limits {
	return Limits{
		FileBytes:      cmp.Or(l.FileBytes, 4<<20),
		Bytes:          cmp.Or(l.Bytes, 64<<20),
		Objects:        cmp.Or(l.Objects, 10_000),
		Depth:          cmp.Or(l.Depth, 16),
		Kustomizations: cmp.Or(l.Kustomizations, 500),
	}
}

// A Builder builds the folders of revisions. It caches the files and bases of the last
// two revisions. It is safe for concurrent use.
type Builder struct {
	limits Limits
	begin  func(dir, key string) (end func(), err error)
	quick  quickWay // nil if kustomize builds everything

	mu    sync.Mutex // protects known
	known known
}

// A quickWay builds some trees faster than kustomize does.
type quickWay interface {
	// build returns false for a tree that kustomize must build.
	build(r *Revision, t tree) (Product, bool)
	// rest is called at the end of a revision, with the bases that stay cached.
	rest(kept map[string]*base)
}

// New returns a Builder. It calls begin before each piece of work whose cost depends on
// the content of files, with the folder and a key, and end after it. Equal keys mean equal
// work. It does so for each kustomization that it reads and each base that it builds; for
// any other folder, its caller calls Begin and decides when the work ends.
func New(limits Limits, begin func(dir, key string) (end func(), err error)) *Builder {
	limitCopies()
	loadSchema()
	b := &Builder{limits: limits.WithDefaults(), begin: begin, known: newKnown()}
	b.quick = newQuick() // without this line and shortcut.go, kustomize builds everything
	return b
}

// A Folder is a folder to build for an app, and the base that it is an overlay of. Base
// is empty if there is none, and equal to Dir for a base.
type Folder struct {
	Dir, Base string
}

// A Product is the result of building a folder.
type Product struct {
	Objects []*federation.Object
	Taken   int    // number of objects that kustomize built or patched
	Losses  []Loss // patches that may lose ports

	nulls []bool // by object: whether it had a null before it was settled
}

func (p *Product) add(o *federation.Object, null bool) {
	p.Objects, p.nulls = append(p.Objects, o), append(p.nulls, null)
}

// A Revision builds folders from the files of one revision. It is safe for
// concurrent use.
type Revision struct {
	b          *Builder
	ctx        context.Context
	generation uint64
	files      *manifest.Files
	enough     func() bool       // reports whether there are so many mistakes that no more are searched for
	made       map[string][]byte // generated kustomization files of plain bases; read-only while builds run

	mu    sync.Mutex // protects scans and bases
	scans map[scanKey]scanResult
	bases map[string]*baseFlight // by folder
}

// Open starts a revision. When ctx ends, its builds fail at their next read. A
// revision must be closed before the next is opened.
func (b *Builder) Open(ctx context.Context, f *manifest.Files, enough func() bool) *Revision {
	b.mu.Lock()
	b.known.generation++
	generation := b.known.generation
	b.mu.Unlock()
	return &Revision{
		b:          b,
		ctx:        ctx,
		generation: generation,
		files:      f,
		enough:     enough,
		made:       map[string][]byte{},
		scans:      map[scanKey]scanResult{},
		bases:      map[string]*baseFlight{},
	}
}

// Close ends a revision, and drops cache entries that neither it nor the previous one
// used. None of its builds may be running.
func (r *Revision) Close() {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	r.b.known.forget()
	if r.b.quick != nil {
		r.b.quick.rest(r.b.known.bases)
	}
}

// GenerateKustomization generates a kustomization with these files for a folder that has none, so that
// overlays can be built on it. It must be called before any build.
func (r *Revision) GenerateKustomization(dir string, names []string) {
	r.made[madeIn(dir)] = plainKustomization(names)
}

// Key identifies the result of building a folder: equal keys mean equal
// objects.
func (r *Revision) Key(f Folder) (string, error) {
	key, err := r.digest(f.Dir)
	if err != nil || f.Base == "" || f.Dir == f.Base {
		return key, err
	}
	// An overlay is compared with its base, even one that does not use it.
	baseKey, err := r.digest(f.Base)
	return key + baseKey, err
}

// Begin builds the base that a folder needs, and then begins the folder's build, which
// lasts until end is called. If the base must not be built, neither must its overlays,
// whose builds include it.
func (r *Revision) Begin(f Folder, key string) (end func(), err error) {
	if f.Base == f.Dir {
		return func() {}, nil // the base is already built
	}
	if f.Base != "" {
		if base := r.baseOf(f.Base); base.refused || manifest.Exceeds(base.err) {
			return nil, base.err
		}
	}
	return r.enter(f.Dir, key)
}

// Build builds a folder: with its kustomization, or the objects of its files if it has
// none. An overlay must not rename objects of its base. With an error, there is no
// product.
func (r *Revision) Build(f Folder) (Product, error) {
	made, err := r.buildAny(f)
	if err != nil {
		return Product{}, err
	}
	return made, nil
}

func (r *Revision) buildAny(f Folder) (Product, error) {
	if err := r.ctx.Err(); err != nil {
		return Product{}, err
	}
	if f.Dir == f.Base {
		base := r.baseOf(f.Dir)
		return base.Product, base.err
	}
	overlay := f.Base != ""
	if len(r.files.Kustomizations(f.Dir)) == 0 {
		if overlay {
			return Product{}, &manifest.Error{File: f.Dir, Reason: "the overlay has no kustomization.yaml", Remedy: "add one with resources: [" + relative(f.Dir, f.Base) + "]"}
		}
		objects, err := r.plain(f.Dir)
		return Product{Objects: objects}, err
	}
	made, t, err := r.kustomize(f.Dir)
	if err == nil && overlay {
		err = r.compare(f.Base, t, made.Objects)
	}
	return made, err
}

func (r *Revision) plain(dir string) ([]*federation.Object, error) {
	return r.files.Objects(dir, r.b.limits.Bytes, r.b.limits.Objects, r.enough)
}

// enter begins a piece of work in a folder.
func (r *Revision) enter(dir, key string) (end func(), err error) {
	end, err = r.b.begin(dir, key)
	if e, ok := errors.AsType[*manifest.Error](err); ok && e.File == "" {
		blamed := *e
		blamed.File = r.blamed(dir)
		err = &blamed
	}
	return end, err
}

// blamed returns the file that errors about a folder name.
func (r *Revision) blamed(dir string) string {
	if files := r.files.Kustomizations(dir); len(files) > 0 {
		return files[0]
	}
	return dir
}
