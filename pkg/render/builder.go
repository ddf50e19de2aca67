package render

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

// withDefaults returns the limits with the default of each that is zero.
func (l Limits) withDefaults() Limits {
	return Limits{
		FileBytes:      cmp.Or(l.FileBytes, 4<<20),
		Bytes:          cmp.Or(l.Bytes, 64<<20),
		Objects:        cmp.Or(l.Objects, 10_000),
		Depth:          cmp.Or(l.Depth, 16),
		Kustomizations: cmp.Or(l.Kustomizations, 500),
	}
}

// A builder builds folders of revision after revision, and remembers what it read and the
// bases that it built for the last two. It is safe for concurrent use.
type builder struct {
	limits Limits
	begin  func(dir, key string) (end func(), err error)
	quick  quickWay // nil where kustomize builds everything

	mu    sync.Mutex // protects known
	known known
}

// A quickWay builds some trees quicker than kustomize does.
type quickWay interface {
	// build says false for a tree that kustomize is to build.
	build(r *revision, t tree) (product, bool)
	// rest is called at the end of a revision, with the bases that are kept.
	rest(kept map[string]*base)
}

// newBuilder makes a builder. It calls begin before each piece of work whose cost depends
// on what the files say: reading a kustomization, and building a base; see the renderer's
// Options.
func newBuilder(limits Limits, begin func(dir, key string) (end func(), err error)) *builder {
	limitCopies()
	b := &builder{limits: limits.withDefaults(), begin: begin, known: newKnown()}
	b.quick = newShortcut() // without this line and the files named shortcut*.go kustomize builds everything
	return b
}

// A folder is what is built for an app: a folder of the repository, and the base that it
// is an overlay of. Base is empty where there is none, and Dir itself for a base.
type folder struct {
	Dir, Base string
}

// A product is what a folder comes to.
type product struct {
	Objects []*federation.Object
	Taken   int    // how many of them kustomize built or patched
	Losses  []loss // the patches that may lose something

	nulls []bool // by object: something in it was null, before it was settled
}

func (p *product) add(o *federation.Object, null bool) {
	p.Objects, p.nulls = append(p.Objects, o), append(p.nulls, null)
}

// A revision is the files of one revision, of which folders are built side by side.
type revision struct {
	*builder

	ctx        context.Context
	generation uint64
	files      *manifest.Files
	enough     func() bool       // whether there are so many mistakes that no more are looked for
	made       map[string][]byte // kustomization files made up for plain bases; fixed once builds run

	mu    sync.Mutex // protects scans and bases
	scans map[scanKey]scanResult
	bases map[string]*baseFlight // by folder
}

// open begins with a revision. When ctx ends, builds of it fail as soon as they read
// something. One revision is closed before the next is opened.
func (b *builder) open(ctx context.Context, f *manifest.Files, enough func() bool) *revision {
	b.mu.Lock()
	b.known.generation++
	generation := b.known.generation
	b.mu.Unlock()
	return &revision{
		builder:    b,
		ctx:        ctx,
		generation: generation,
		files:      f,
		enough:     enough,
		made:       map[string][]byte{},
		scans:      map[scanKey]scanResult{},
		bases:      map[string]*baseFlight{},
	}
}

// close ends with a revision, and forgets what neither it nor the one before needed. No
// build of it may be under way.
func (r *revision) close() {
	r.builder.mu.Lock()
	defer r.builder.mu.Unlock()
	r.known.forget()
	if r.quick != nil {
		r.quick.rest(r.known.bases)
	}
}

// makeUp gives a folder without a kustomization one that names the files, so that overlays
// can be built on it. It is called before anything is built.
func (r *revision) makeUp(dir string, names []string) {
	r.made[madeIn(dir)] = plainKustomization(names)
}

// key identifies what is built of a folder: equal keys build equal objects.
func (r *revision) key(f folder) (string, error) {
	key, err := r.digest(f.Dir)
	if err != nil || f.Base == "" || f.Dir == f.Base {
		return key, err
	}
	// An overlay is compared with its base, even one that does not use it.
	baseKey, err := r.digest(f.Base)
	return key + baseKey, err
}

// enterFolder builds the base that a folder's build needs, and then begins the build, which is
// under way until end is called. An overlay of a base that may not be built may not be
// built either: its build has the base's in it.
func (r *revision) enterFolder(f folder, key string) (end func(), err error) {
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

// build builds a folder: what its kustomization makes, or the objects of its files where
// it has none. An overlay may not rename what is in its base. With an error there is no
// product.
func (r *revision) build(f folder) (product, error) {
	made, err := r.buildAny(f)
	if err != nil {
		return product{}, err
	}
	return made, nil
}

func (r *revision) buildAny(f folder) (product, error) {
	if err := r.ctx.Err(); err != nil {
		return product{}, err
	}
	if f.Dir == f.Base {
		base := r.baseOf(f.Dir)
		return base.product, base.err
	}
	overlay := f.Base != ""
	if len(r.files.Kustomizations(f.Dir)) == 0 {
		if overlay {
			return product{}, &manifest.Error{File: f.Dir, Reason: "the overlay has no kustomization.yaml", Remedy: "add one with resources: [" + relative(f.Dir, f.Base) + "]"}
		}
		objects, err := r.plain(f.Dir)
		return product{Objects: objects}, err
	}
	made, t, err := r.kustomize(f.Dir)
	if err == nil && overlay {
		err = r.compare(f.Base, t, made.Objects)
	}
	return made, err
}

func (r *revision) plain(dir string) ([]*federation.Object, error) {
	return r.files.Objects(dir, r.limits.Bytes, r.limits.Objects, r.enough)
}

// enter begins a piece of work in a folder.
func (r *revision) enter(dir, key string) (end func(), err error) {
	end, err = r.begin(dir, key)
	if e, ok := errors.AsType[*manifest.Error](err); ok && e.File == "" {
		blamed := *e
		blamed.File = r.blamed(dir)
		err = &blamed
	}
	return end, err
}

// blamed is the file that stands for a folder.
func (r *revision) blamed(dir string) string {
	if files := r.files.Kustomizations(dir); len(files) > 0 {
		return files[0]
	}
	return dir
}
