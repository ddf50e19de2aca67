package render

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"

	"github.com/fedsync/fedsync/pkg/federation"
)

// A pass is one rendering of one revision. What it holds is forgotten at its end,
// but for what it puts into the cache.
type pass struct {
	ctx    context.Context
	limits Limits
	files  *files
	made   map[string][]byte // kustomization files made up for plain bases; fixed once builds run

	running sync.WaitGroup
	slots   chan struct{} // as many as builds may run at a time

	flights map[string]*flight // by key; used by the goroutine that starts builds, alone

	mu    sync.Mutex // protects scans and bases
	scans map[scanKey]result[*kustomization]
	bases map[string]*baseFlight // by folder

	cacheMu sync.Mutex // protects what cache holds, while builds run
	cache   *cache
}

// A flight is a build that runs, or ran.
type flight struct {
	dir  string // the folder that this cluster's objects are built from
	done chan struct{}
	*built
}

func newPass(ctx context.Context, r *Renderer, fsys fs.FS) *pass {
	r.cache.generation++
	return &pass{
		ctx:     ctx,
		limits:  r.limits,
		files:   newFiles(fsys, r.limits.FileBytes),
		cache:   &r.cache,
		made:    map[string][]byte{},
		slots:   make(chan struct{}, r.workers),
		flights: map[string]*flight{},
		scans:   map[scanKey]result[*kustomization]{},
		bases:   map[string]*baseFlight{},
	}
}

// finish waits for what still runs, and forgets what is not needed.
func (p *pass) finish() {
	p.running.Wait()
	for _, b := range p.bases {
		b.rest()
	}
	// A failure may pass: it is never taken from the cache.
	for key, f := range p.flights {
		if f.err != nil {
			delete(p.cache.builds, key)
		}
	}
	p.cache.forget()
}

// build starts the build of an app for a cluster, unless it is known already or
// runs for another cluster.
func (p *pass) build(a *app, c federation.Cluster) *flight {
	dir, err := a.folder(c.Name)
	if err != nil {
		return landed(&built{dir: dir, err: err}, dir)
	}
	return p.launch(a, dir)
}

func (p *pass) launch(a *app, dir string) *flight {
	key, err := p.key(dir)
	if err == nil && a.base != "" && dir != a.base {
		// An overlay is compared with its base, even one that does not use it.
		var baseKey string
		baseKey, err = p.key(a.base)
		key += baseKey
	}
	if err != nil {
		return landed(&built{dir: dir, err: fmt.Errorf("app %s: %w", a.Name, err)}, dir)
	}
	if running, ok := p.flights[key]; ok {
		return &flight{dir: dir, done: running.done, built: running.built}
	}
	p.cacheMu.Lock()
	known, ok := p.cache.builds[key]
	if ok {
		known.used = p.cache.generation
	}
	p.cacheMu.Unlock()
	if ok {
		return landed(known, dir)
	}

	f := &flight{dir: dir, done: make(chan struct{}), built: &built{dir: dir, used: p.cache.generation}}
	p.flights[key] = f
	p.cacheMu.Lock()
	p.cache.builds[key] = f.built
	p.cacheMu.Unlock()
	p.slots <- struct{}{}
	p.running.Go(func() {
		defer func() { <-p.slots }()
		defer close(f.done)
		p.run(a, f.built)
	})
	return f
}

func landed(b *built, dir string) *flight {
	done := make(chan struct{})
	close(done)
	return &flight{dir: dir, done: done, built: b}
}

// run builds a folder and fills b.
func (p *pass) run(a *app, b *built) {
	b.raw, b.err = p.objects(a, b.dir)
	if b.err == nil {
		b.err = b.finish(p.limits)
	}
}

// finish makes the objects that clusters get of those that were built.
func (b *built) finish(limits Limits) error {
	if len(b.raw) > limits.Objects {
		return &Error{File: b.dir, Reason: fmt.Sprintf("the app has %d objects; %d are allowed", len(b.raw), limits.Objects)}
	}
	var err error
	if b.scopes, err = definedScopes(b.raw); err != nil {
		return err
	}
	b.final = make([]*federation.Object, len(b.raw))
	first := make(map[federation.ObjectRef]*federation.Object, len(b.raw))
	var errs []error
	for i, o := range b.raw {
		b.own = b.own || within(o.File, b.dir)
		if o.Ref.Namespace == "" {
			in, known := b.scopes.of(o)
			b.open = b.open || !known
			if known && in == namespaced {
				if o, err = inDefault(o); err != nil {
					return err
				}
			}
		}
		b.final[i] = o
		if other, twice := first[o.Ref]; twice {
			errs = append(errs, &Error{File: o.File, Field: o.Ref.String(), Reason: "the object stands twice in the app, first in " + other.File, Remedy: "delete one"})
		}
		first[o.Ref] = o
	}
	return joinedOrNil(errs)
}

func joinedOrNil(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return joined(errs)
}

// objects builds a folder.
func (p *pass) objects(a *app, dir string) ([]*federation.Object, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, err
	}
	if dir == a.base {
		base := p.baseOf(dir)
		return base.objects, base.err
	}
	overlay := a.base != ""
	if len(p.files.kustomizations(dir)) == 0 {
		if overlay {
			return nil, &Error{File: dir, Reason: "the overlay has no kustomization.yaml", Remedy: "add one with resources: [" + relative(dir, a.base) + "]"}
		}
		return p.plain(dir)
	}
	objects, t, err := p.kustomize(dir)
	if err == nil && overlay {
		err = p.compare(a, t, objects)
	}
	return objects, err
}

// assemble gives a cluster's bundles once their builds are done.
func (p *pass) assemble(c federation.Cluster, tasks []task) []federation.Bundle {
	bundles := make([]federation.Bundle, len(tasks))
	all := scopes{}
	for i, t := range tasks {
		<-t.build.done
		bundles[i] = federation.Bundle{Cluster: c.Name, App: t.app.Name}
		if err := t.build.err; err != nil {
			bundles[i].Err = p.blame(t)
			continue
		}
		maps.Copy(all, t.build.scopes)
	}
	for i, t := range tasks {
		if bundles[i].Err == nil {
			bundles[i].Objects, bundles[i].Err = t.build.place(all)
		}
	}
	return disputed(bundles)
}

// blame gives a build's error as it is for this cluster: where the build was made
// for another with equal files, it is the other's files that the error names.
func (p *pass) blame(t task) error {
	err := t.build.err
	if t.build.dir == t.build.built.dir || p.ctx.Err() != nil {
		return err
	}
	if _, err := p.objects(t.app, t.build.dir); err != nil {
		return err
	}
	return err
}

// place gives the objects for a cluster in which other apps define kinds, and
// names the folder of the cluster's own overlay as their file.
func (f *flight) place(all scopes) ([]*federation.Object, error) {
	move := f.own && f.dir != f.built.dir
	if !move && (!f.open || len(all) == 0) {
		return f.final, nil
	}
	objects := make([]*federation.Object, len(f.final))
	for i, o := range f.final {
		if o.Ref.Namespace == "" && f.open {
			if in, known := all.of(o); known && in == namespaced {
				var err error
				if o, err = f.placedObject(o); err != nil {
					return nil, err
				}
			}
		}
		if move && within(o.File, f.built.dir) {
			moved := *o
			moved.File = path.Join(f.dir, strings.TrimPrefix(o.File, f.built.dir))
			o = &moved
		}
		objects[i] = o
	}
	return objects, nil
}

func (b *built) placedObject(o *federation.Object) (*federation.Object, error) {
	if known, ok := b.placed[o]; ok {
		return known, nil
	}
	in, err := inDefault(o)
	if err != nil {
		return nil, err
	}
	if b.placed == nil {
		b.placed = map[*federation.Object]*federation.Object{}
	}
	b.placed[o] = in
	return in, nil
}

// disputed refuses the apps of a cluster that claim one object. Neither may have
// it: which came first is not for the order of a file to say.
func disputed(bundles []federation.Bundle) []federation.Bundle {
	if len(bundles) < 2 {
		return bundles
	}
	type owner struct {
		bundle int
		object *federation.Object
	}
	owners := map[federation.ObjectRef]owner{}
	errs := make([][]error, len(bundles))
	for i, b := range bundles {
		if b.Err != nil {
			continue
		}
		for _, o := range b.Objects {
			other, claimed := owners[o.Ref]
			if !claimed {
				owners[o.Ref] = owner{i, o}
				continue
			}
			claim := func(by, against *federation.Object, app string) error {
				return &Error{File: by.File, Field: by.Ref.String(), Reason: fmt.Sprintf("app %s has the same object, in %s", app, against.File), Remedy: "delete one"}
			}
			errs[i] = append(errs[i], claim(o, other.object, bundles[other.bundle].App))
			errs[other.bundle] = append(errs[other.bundle], claim(other.object, o, b.App))
		}
	}
	for i := range bundles {
		if len(errs[i]) > 0 {
			bundles[i].Objects, bundles[i].Err = nil, joined(errs[i])
		}
	}
	return bundles
}
