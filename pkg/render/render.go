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

// An Error is a rendering error that names the file with the mistake.
type Error = manifest.Error

// Limits bound the cost of rendering a repository. A zero limit means its
// default.
type Limits = kustomize.Limits

// Options configure a Renderer. The zero value is ready to use.
type Options struct {
	Limits  Limits
	Workers int // concurrent builds; 2 by default, since more gain nothing
	// Begin is called before each piece of work whose cost depends on the content of
	// files: reading a kustomization and building a folder. It gets the folder and a
	// key; equal keys mean equal work. If Begin returns an error, the work is
	// skipped and fails with that error; otherwise end is called after it. Work may
	// be nested; with one worker, no two pieces run concurrently. If nil, all work
	// begins.
	Begin func(dir, key string) (end func(), err error)
}

// Load reads the Federation from a snapshot's fedsync.yaml. Mistakes in the file are
// returned as fedfile.Errors.
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

// Renderer renders revisions, and caches what it built for the last two. It is
// safe for concurrent use; renderings run one at a time.
//
// Kustomize cannot be interrupted, and its time and memory cannot be bounded from
// within. To render untrusted files, use a process that can be killed: see package
// worker.
type Renderer struct {
	limits  Limits
	workers int
	builder *kustomize.Builder

	turn sync.Mutex // held by one rendering

	mu    sync.Mutex // protects cache
	cache cache
}

// New returns a Renderer.
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
// selects, in the order of the federation, clusters first. It also returns the
// findings, errors first. A Bundle that could not be rendered has Err set, to an
// *Error if a file is to blame; the others are rendered nevertheless. Different
// bundles may share pointers to objects.
//
// If ready is not nil, Render calls it with each cluster's bundles as soon as
// those of that cluster and all earlier ones are complete, one call at a time and
// in the order of the federation. For a cluster without apps the list is empty.
//
// When ctx ends, Render starts no further build and returns when the running ones
// have ended. Bundles not yet rendered then have the context's error, ready is not
// called for them, and there are no findings.
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

	// The builds run ahead of the clusters that wait for them, in the same
	// order.
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

// A task is the pending build of one app for one cluster.
type task struct {
	app   *app
	dir   string // the folder that this cluster's objects are built from
	build *flight
}

// start sends the tasks of each cluster, in the order of the federation, while
// the workers run their builds. It closes the channel early if the rendering is
// stopped.
func (p *pass) start(f *federation.Federation, apps []*app) <-chan []task {
	// Room for all clusters, so that builds never wait for the receiver.
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

// Decoded returns the Object with the given JSON, which another process rendered. It
// validates it like an object that this package built, since that process may be
// compromised.
func Decoded(data []byte, file string) (*federation.Object, error) {
	return manifest.Decoded(data, file)
}

// ReadFile reads a file of no more than most bytes, without allocating memory
// for a larger one. A file system with a cheaper way than reading the size
// first can implement it as a method ReadFileLimit.
func ReadFile(files fs.FS, name string, most int64) ([]byte, error) {
	return manifest.ReadFile(files, name, most)
}
