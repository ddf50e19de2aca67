package render

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/render/kustomize"
	"github.com/fedsync/fedsync/pkg/render/manifest"
)

// An Error says which file is to blame for what could not be rendered.
type Error = manifest.Error

// Limits bound what a repository may cost. A limit that is zero has its default.
type Limits = kustomize.Limits

// Options tune a Renderer. The zero value is fit for use.
type Options struct {
	Limits  Limits
	Workers int // builds that run at a time; 2 unless given, as more gain nothing
	// Begin is called before each piece of work whose cost depends on what the files
	// say: reading a kustomization and building a folder. It gets the folder and a
	// key, and equal keys are equal work. The work is done unless there is an error,
	// which is then its own, and end is called after it. Work may have other work
	// within; with one worker, no two pieces run side by side. Nil lets all begin.
	Begin func(dir, key string) (end func(), err error)
}

// Load reads the Federation that a snapshot keeps in fedsync.yaml. The mistakes in it
// are of type fedfile.Errors.
func Load(snapshot federation.Snapshot) (*federation.Federation, error) {
	file := snapshot.FederationFile()
	data, err := fs.ReadFile(snapshot.Files, file)
	if errors.Is(err, fs.ErrNotExist) {
		where, or := "at the root of the repository", ", or name its folder with --path"
		if snapshot.Folder != "" {
			where, or = "in the folder "+snapshot.Folder, ""
		}
		return nil, fmt.Errorf("%s is missing %s: add one with apiVersion: %s and kind: %s%s", federation.FileName, where, federation.APIVersion, federation.Kind, or)
	}
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		err = wrong.Err
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return fedfile.Parse(snapshot.Folder, data)
}

// Renderer renders revision after revision and remembers what it built for the
// last two. It is safe for concurrent use; renderings wait for one another.
//
// Kustomize cannot be interrupted, and what it needs of time and memory cannot be
// bounded from within. Whoever renders what others wrote does it in a process that
// can be ended: see package worker.
type Renderer struct {
	limits  Limits
	workers int
	builder *kustomize.Builder

	turn sync.Mutex // held by one rendering

	mu    sync.Mutex // protects cache
	cache cache
}

// New makes a Renderer.
func New(o Options) *Renderer {
	begin := o.Begin
	if begin == nil {
		begin = func(string, string) (func(), error) { return func() {}, nil }
	}
	limits := o.Limits.WithDefaults()
	return &Renderer{
		limits: limits, workers: cmp.Or(o.Workers, 2), builder: kustomize.New(limits, begin),
		cache: cache{builds: map[string]*built{}},
	}
}

// Render returns one Bundle for every app and every cluster that the app's selector
// chooses, in the order of the federation, clusters first; and what there is to
// report, errors first. A Bundle that could not be rendered says so in Err, which
// is an *Error where a file is to blame, and the others are rendered all the
// same. Objects of different bundles may be the same pointer.
//
// Where ready is not nil it gets each cluster's bundles as soon as that cluster's
// and all earlier ones' are complete, one call at a time and in the order of the
// federation, before Render returns. A cluster without apps gets an empty list.
//
// When ctx ends, Render begins no further build and returns when those under way
// have ended. The bundles not yet rendered then have the context's error, ready is
// not called for them, and nothing is reported.
func (r *Renderer) Render(ctx context.Context, snapshot federation.Snapshot, f *federation.Federation,
	ready func(federation.Cluster, []federation.Bundle),
) ([]federation.Bundle, []federation.Finding) {
	r.turn.Lock()
	defer r.turn.Unlock()

	p := newPass(ctx, r, snapshot.Files)
	defer p.finish()

	apps := make([]*app, len(f.Apps))
	for i := range f.Apps {
		apps[i] = p.open(f.Apps[i])
	}

	// The builds run ahead of the clusters that wait for them, in their order.
	queue := p.start(f, apps)
	all := make([]federation.Bundle, 0, len(f.Clusters)*len(f.Apps))
	for _, cluster := range f.Clusters {
		bundles := p.unrendered(f, cluster)
		select {
		case tasks := <-queue:
			bundles = p.assemble(cluster, tasks)
		case <-ctx.Done():
		}
		if ready != nil && ctx.Err() == nil {
			ready(cluster, bundles)
		}
		all = append(all, bundles...)
	}
	if ctx.Err() != nil {
		return all, nil
	}
	return all, p.findings(f, apps, all)
}

// A task is one app's build for one cluster, on its way.
type task struct {
	app   *app
	dir   string // the folder that this cluster's objects are built from
	build *flight
}

// start returns the tasks of each cluster, in the order of the federation, while
// the workers run their builds. When the rendering is told to stop, nothing more
// comes.
func (p *pass) start(f *federation.Federation, apps []*app) <-chan []task {
	// Room for all clusters: the builds never wait for whoever takes results.
	queue := make(chan []task, len(f.Clusters))
	go func() {
		for _, cluster := range f.Clusters {
			var tasks []task
			for _, a := range apps {
				if p.ctx.Err() != nil {
					return
				}
				if a.Selector.Matches(cluster) {
					tasks = append(tasks, p.build(a, cluster))
				}
			}
			queue <- tasks
		}
	}()
	return queue
}

// Decoded makes an Object of the JSON of another, which another process rendered, and
// holds it to what this package holds its own to: that process may have been taken over.
func Decoded(data []byte, file string) (*federation.Object, error) {
	return manifest.Decoded(data, file)
}

// ReadFile reads a file of at most so many bytes, without taking the memory for a
// larger one. Files that know a cheaper way than asking for the size first have a
// method ReadFileLimit that does the same.
func ReadFile(files fs.FS, name string, most int64) ([]byte, error) {
	return manifest.ReadFile(files, name, most)
}
