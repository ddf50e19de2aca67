package render

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"sync"

	"github.com/fedsync/fedsync/internal/limit"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render/kustomize"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// A pass is one rendering of one revision. Its state is dropped at its end,
// except for what it puts into the cache.
type pass struct {
	*Renderer

	ctx        context.Context
	generation uint64
	files      *manifest.Files
	folders    *kustomize.Revision

	slots   chan struct{}      // its capacity is the number of concurrent builds
	flights map[string]*flight // by key; used only by the goroutine that starts builds
	again   map[string]*flight // by folder: repeated builds of folders whose shared build failed; used only by the goroutine that assembles
	running sync.WaitGroup     // the flights

	losses map[string]map[kustomize.Loss]bool // by app; used only by the goroutine that assembles

	tally tally // of what is built and assigned to clusters
}

func newPass(ctx context.Context, r *Renderer, fsys fs.FS) *pass {
	r.mu.Lock()
	r.cache.generation++
	generation := r.cache.generation
	r.mu.Unlock()
	p := &pass{
		Renderer:   r,
		ctx:        ctx,
		generation: generation,
		files:      manifest.NewFiles(fsys, r.limits.FileBytes),
		slots:      make(chan struct{}, r.workers),
		flights:    map[string]*flight{},
		again:      map[string]*flight{},
		losses:     map[string]map[kustomize.Loss]bool{},
		tally:      tally{builds: map[*built]bool{}},
	}
	p.folders = r.builder.Open(ctx, p.files, p.tally.blamed)
	return p
}

// finish waits for running builds, and drops unused cache entries.
func (p *pass) finish() {
	p.running.Wait()
	p.folders.Close()
	p.mu.Lock()
	p.cache.forget()
	p.mu.Unlock()
}

// build starts the build of an app for a cluster, unless it is cached or runs
// for another cluster.
func (p *pass) build(a *app, c federation.Cluster) task {
	dir, err := a.folder(c.Name)
	if err != nil {
		return task{app: a, dir: dir, build: landed("", &built{dir: dir, err: err})}
	}
	return task{app: a, dir: dir, build: p.launch(a, dir)}
}

func (p *pass) launch(a *app, dir string) *flight {
	of := kustomize.Folder{Dir: dir, Base: a.base}
	key, err := p.keyOf(of)
	if err != nil {
		return landed("", &built{dir: dir, err: fmt.Errorf("app %s: %w", a.Name, err)})
	}
	if f, ok := p.flights[key]; ok {
		return f
	}
	if known := p.recallBuild(key); known != nil {
		if err := p.tally.add(known); err != nil {
			return landed("", &built{dir: dir, err: err})
		}
		return landed(key, known)
	}
	f := p.fly(key, dir, func(b *built) error {
		if err := p.tally.full(dir); err != nil {
			return err
		}
		end, err := p.folders.Begin(of, key)
		if err != nil {
			return err
		}
		defer end()
		made, err := p.folders.Build(of)
		b.raw, b.taken, b.losses = made.Objects, made.Taken, made.Losses
		if err == nil {
			err = b.finish(p.limits)
		}
		if err != nil {
			return p.tally.blame(dir, err)
		}
		return p.tally.add(b)
	})
	p.flights[key] = f
	return f
}

// keyOf returns a key for the result of building a folder. Reading the
// kustomizations for it takes a worker's time, like a build.
func (p *pass) keyOf(f kustomize.Folder) (string, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-p.ctx.Done():
		return "", p.ctx.Err()
	}
	return p.folders.Key(f)
}

// recallBuild returns a build from the cache, or nil.
func (p *pass) recallBuild(key string) *built {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.cache.builds[key]
	if !ok {
		return nil
	}
	known.used = p.generation
	return known
}

// finish turns the built objects into those that clusters get.
func (b *built) finish(limits Limits) error {
	if len(b.raw) > limits.Objects {
		return &Error{File: b.dir, Exceeds: true, Reason: fmt.Sprintf("the app has %d objects; %d are allowed", len(b.raw), limits.Objects)}
	}
	var err error
	if b.scopes, err = definedScopes(b.raw); err != nil {
		return err
	}
	for _, o := range b.raw {
		b.size += weight(o)
	}
	b.final = make([]*federation.Object, len(b.raw))
	first := make(map[federation.ObjectRef]*federation.Object, len(b.raw))
	var errs []error
	for i, o := range b.raw {
		b.own = b.own || manifest.Within(o.File, b.dir)
		if o.Ref.Namespace == "" {
			in, known := b.scopes.of(o)
			b.open = b.open || !known
			if known && in == namespaced {
				if o, err = o.InNamespace(manifest.DefaultNamespace); err != nil {
					return err
				}
			}
		}
		b.final[i] = o
		if other, twice := first[o.Ref]; twice {
			errs = append(errs, &Error{File: o.File, Field: o.Ref.String(), Reason: "the object is defined twice in the app, first in " + other.File, Remedy: "delete one"})
		}
		first[o.Ref] = o
	}
	return manifest.JoinOrNil(errs)
}

// unrendered returns a cluster's bundles if its rendering was stopped.
func (p *pass) unrendered(f *federation.Federation, c federation.Cluster) []federation.Bundle {
	var bundles []federation.Bundle
	for _, a := range f.Apps {
		if a.Selector.Matches(c) {
			bundles = append(bundles, federation.Bundle{Cluster: c.Name, App: a.Name, Err: p.ctx.Err()})
		}
	}
	return bundles
}

// assemble returns a cluster's bundles when their builds are done.
func (p *pass) assemble(c federation.Cluster, tasks []task) []federation.Bundle {
	bundles := make([]federation.Bundle, len(tasks))
	all := scopes{}
	for i, t := range tasks {
		bundles[i] = federation.Bundle{Cluster: c.Name, App: t.app.Name}
		if bundles[i].Err = p.await(t); bundles[i].Err == nil {
			maps.Copy(all, t.build.scopes)
			p.note(t.app.Name, t.build.losses)
		}
	}
	for i, t := range tasks {
		if bundles[i].Err == nil {
			bundles[i].Objects, bundles[i].Err = p.given(t, all)
		}
	}
	return disputed(bundles)
}

// note records losses in an app's builds, each once.
func (p *pass) note(app string, losses []kustomize.Loss) {
	for _, l := range losses {
		if p.losses[app] == nil {
			p.losses[app] = map[kustomize.Loss]bool{}
		}
		p.losses[app][l] = true
	}
}

// await returns a task's error for its cluster. A shared build's error may name
// equal files of another folder; await then builds this cluster's folder to name
// its own.
func (p *pass) await(t task) error {
	if err := p.wait(t.build); err != nil {
		return err
	}
	err := t.build.err
	if err == nil || t.dir == t.build.dir || p.ctx.Err() != nil {
		return err
	}
	again, ok := p.again[t.dir]
	if !ok {
		again = p.fly("", t.dir, func(*built) error {
			of := kustomize.Folder{Dir: t.dir, Base: t.app.base}
			end, err := p.folders.Begin(of, t.build.key)
			if err != nil {
				return err
			}
			defer end()
			_, err = p.folders.Build(of)
			return err
		})
		p.again[t.dir] = again
	}
	if p.wait(again) == nil && again.err != nil {
		return again.err
	}
	return err
}

// given returns a task's objects, or an error if the revision exceeds a limit
// with them.
func (p *pass) given(t task, all scopes) ([]*federation.Object, error) {
	if err := p.tally.place(t); err != nil {
		return nil, err
	}
	return t.place(all)
}

// place returns a task's objects with namespaces by the kinds that other apps
// of the cluster define. It names the cluster's own overlay folder in their
// files.
func (t task) place(all scopes) ([]*federation.Object, error) {
	b := t.build.built
	move := b.own && t.dir != b.dir
	if !move && (!b.open || len(all) == 0) {
		return b.final, nil
	}
	objects := make([]*federation.Object, len(b.final))
	for i, o := range b.final {
		if o.Ref.Namespace == "" && b.open {
			if in, known := all.of(o); known && in == namespaced {
				var err error
				if o, err = b.placedObject(o); err != nil {
					return nil, err
				}
			}
		}
		if move && manifest.Within(o.File, b.dir) {
			moved := *o
			moved.File = path.Join(t.dir, strings.TrimPrefix(o.File, b.dir))
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
	in, err := o.InNamespace(manifest.DefaultNamespace)
	if err != nil {
		return nil, err
	}
	if b.placed == nil {
		b.placed = map[*federation.Object]*federation.Object{}
	}
	b.placed[o] = in
	return in, nil
}

// disputed refuses the apps of a cluster that claim the same object. None of
// them gets it: the order in a file must not decide.
func disputed(bundles []federation.Bundle) []federation.Bundle {
	if len(bundles) < 2 {
		return bundles
	}
	type owner struct {
		bundle int
		object *federation.Object
	}
	owners := map[federation.ObjectRef]owner{}
	errs, more := make([][]error, len(bundles)), make([]int, len(bundles))
	claim := func(i int, by, against *federation.Object, app string) {
		if len(errs[i]) == limit.Names { // each cluster has them, and more would not be read
			more[i]++
			return
		}
		errs[i] = append(errs[i], &Error{File: by.File, Field: by.Ref.String(), Reason: fmt.Sprintf("app %s has the same object, in %s", app, against.File), Remedy: "delete one"})
	}
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
			claim(i, o, other.object, bundles[other.bundle].App)
			claim(other.bundle, other.object, o, b.App)
		}
	}
	for i := range bundles {
		if more[i] > 0 {
			errs[i] = append(errs[i], &Error{File: bundles[i].Objects[0].File, Reason: limit.More(more[i]) + " objects that another app has"})
		}
		if len(errs[i]) > 0 {
			bundles[i].Objects, bundles[i].Err = nil, manifest.Join(errs[i])
		}
	}
	return bundles
}
