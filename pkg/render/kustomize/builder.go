package kustomize

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// Limits bound what a repository may cost. A limit that is zero has its default.
type Limits struct {
	FileBytes      int64 // of one file; 4 MiB
	Bytes          int64 // of all files that one build reads; 64 MiB
	Objects        int   // of one app in one cluster; 10,000
	Depth          int   // of kustomizations built on one another; 16
	Kustomizations int   // that one build visits; 500
}

// WithDefaults returns the limits with the default of each that is zero.
func (l Limits) WithDefaults() Limits {
	return Limits{
		FileBytes:      cmp.Or(l.FileBytes, 4<<20),
		Bytes:          cmp.Or(l.Bytes, 64<<20),
		Objects:        cmp.Or(l.Objects, 10_000),
		Depth:          cmp.Or(l.Depth, 16),
		Kustomizations: cmp.Or(l.Kustomizations, 500),
	}
}

// A Builder builds folders of revision after revision, and remembers what it read and the
// bases that it built for the last two. It is safe for concurrent use.
type Builder struct {
	limits Limits
	begin  func(dir, key string) (end func(), err error)
	quick  quickWay // nil where kustomize builds everything

	mu    sync.Mutex // protects known
	known known
}

// A quickWay builds some trees quicker than kustomize does.
type quickWay interface {
	// build says false for a tree that kustomize is to build.
	build(r *Revision, t tree) (Product, bool)
	// rest is called at the end of a revision, with the bases that are kept.
	rest(kept map[string]*base)
}

// New makes a Builder. It calls begin before each piece of work whose cost depends on what
// the files say, with the folder and a key, and end after it: equal keys are equal work.
// It does so for a kustomization that it reads and a base that it builds; for any other
// folder its user calls Begin, and decides when the work ends.
func New(limits Limits, begin func(dir, key string) (end func(), err error)) *Builder {
	limitCopies()
	loadSchema()
	b := &Builder{limits: limits.WithDefaults(), begin: begin, known: newKnown()}
	b.quick = newQuick() // without this line and shortcut.go, kustomize builds everything
	return b
}

// A Folder is what is built for an app: a folder of the repository, and the base that it
// is an overlay of. Base is empty where there is none, and Dir itself for a base.
type Folder struct {
	Dir, Base string
}

// A Product is what a folder comes to.
type Product struct {
	Objects []*federation.Object
	Taken   int    // how many of them kustomize built or patched
	Losses  []Loss // the patches that may lose something

	nulls []bool // by object: something in it was null, before it was settled
}

func (p *Product) add(o *federation.Object, null bool) {
	p.Objects, p.nulls = append(p.Objects, o), append(p.nulls, null)
}

// A Revision is the files of one revision, of which folders are built side by side.
type Revision struct {
	b          *Builder
	ctx        context.Context
	generation uint64
	files      *manifest.Files
	enough     func() bool       // whether there are so many mistakes that no more are looked for
	made       map[string][]byte // kustomization files made up for plain bases; fixed once builds run

	mu    sync.Mutex // protects scans and bases
	scans map[scanKey]scanResult
	bases map[string]*baseFlight // by folder
}

// Open begins with a revision. When ctx ends, builds of it fail as soon as they read
// something. One revision is closed before the next is opened.
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

// Close ends with a revision, and forgets what neither it nor the one before needed. No
// build of it may be under way.
func (r *Revision) Close() {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	r.b.known.forget()
	if r.b.quick != nil {
		r.b.quick.rest(r.b.known.bases)
	}
}

// MakeUp gives a folder without a kustomization one that names the files, so that overlays
// can be built on it. It is called before anything is built.
func (r *Revision) MakeUp(dir string, names []string) {
	r.made[madeIn(dir)] = plainKustomization(names)
}

// Key identifies what is built of a folder: equal keys build equal objects.
func (r *Revision) Key(f Folder) (string, error) {
	key, err := r.digest(f.Dir)
	if err != nil || f.Base == "" || f.Dir == f.Base {
		return key, err
	}
	// An overlay is compared with its base, even one that does not use it.
	baseKey, err := r.digest(f.Base)
	return key + baseKey, err
}

// Begin builds the base that a folder's build needs, and then begins the build, which is
// under way until end is called. An overlay of a base that may not be built may not be
// built either: its build has the base's in it.
func (r *Revision) Begin(f Folder, key string) (end func(), err error) {
	if f.Base == f.Dir {
		return func() {}, nil // building the base is all there is to do
	}
	if f.Base != "" {
		if base := r.baseOf(f.Base); base.refused || manifest.Exceeds(base.err) {
			return nil, base.err
		}
	}
	return r.enter(f.Dir, key)
}

// Build builds a folder: what its kustomization makes, or the objects of its files where
// it has none. An overlay may not rename what is in its base. With an error there is no
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

// blamed is the file that stands for a folder.
func (r *Revision) blamed(dir string) string {
	if files := r.files.Kustomizations(dir); len(files) > 0 {
		return files[0]
	}
	return dir
}
