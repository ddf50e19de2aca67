package main

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"go.uber.org/zap"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/render/worker"
	"github.com/fedsync/fedsync/pkg/source"
)

// measureRender measures package render in this process, and the cost of another process,
// on revisions that package source reads from real repositories. The first rendering of a
// process is not included: it parses kustomize's schema.
func measureRender(ctx context.Context, b *bench) ([]Row, error) {
	var rows []Row
	for _, n := range []int{3, 30, 300} {
		r, err := newRendering(ctx, b, fmt.Sprintf("render-13-%d", n), manyFiles(clusterNames(13), n, 0))
		if err != nil {
			return nil, err
		}
		row := Row{What: fmt.Sprintf("13 clusters × %d objects, nothing known", n), Unit: "ms", Of: "renderings"}
		for range b.runs {
			took, err := r.afresh(ctx)
			if err != nil {
				return nil, err
			}
			row.Values = append(row.Values, milliseconds(took))
		}
		b.tell("%s: median %.1f ms", row.What, row.Median())
		rows = append(rows, row)
	}
	apart, err := measureWorker(ctx, b)
	if err != nil {
		return nil, err
	}
	many, err := measureManyOverlays(ctx, b)
	return slices.Concat(rows, apart, many), err
}

// measureWorker measures what it costs a push to be rendered in a process of its own. It
// renders the guide's objects, all of them changed, in turns in this process and in that.
func measureWorker(ctx context.Context, b *bench) ([]Row, error) {
	names := clusterNames(13)
	r, err := newRendering(ctx, b, "render-guide", guideFiles(names, 0))
	if err != nil {
		return nil, err
	}
	its := worker.New(worker.Options{})
	defer its.Close()
	here := Row{What: "a push of the guide's 13 × 3 objects, in this process", Unit: "ms", Of: "renderings"}
	there := Row{What: "the same in the process that renders", Unit: "ms", Of: "renderings"}
	if _, err := r.render(ctx, its); err != nil { // starts the process
		return nil, err
	}
	for run := range b.runs {
		id, err := r.repo.commit(ctx, guideFiles(names, run+1), "Change")
		if err != nil {
			return nil, err
		}
		if err := r.read(ctx, id); err != nil {
			return nil, err
		}
		took, err := r.render(ctx, r.renderer)
		if err != nil {
			return nil, err
		}
		here.Values = append(here.Values, milliseconds(took))
		if took, err = r.render(ctx, its); err != nil {
			return nil, err
		}
		there.Values = append(there.Values, milliseconds(took))
	}
	b.tell("a push of the guide: %.1f ms in this process, %.1f ms in its own", here.Median(), there.Median())
	return []Row{here, there.must("median above that", there.Median()-here.Median(), 5, "ms")}, nil
}

// clusterNames returns n names.
func clusterNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("cluster-%04d", i)
	}
	return names
}

// measureManyOverlays compares with kustomize itself.
func measureManyOverlays(ctx context.Context, b *bench) ([]Row, error) {
	const clusters, objects = 1000, 30
	r, err := newRendering(ctx, b, "render-many", manyFiles(clusterNames(clusters), objects, 0))
	if err != nil {
		return nil, err
	}
	fsys, err := inMemory(r.snapshot.Files)
	if err != nil {
		return nil, err
	}
	plain := Row{What: "1,000 clusters × 30 objects by krusty.Run, one after another", Unit: "ms", Of: "renderings"}
	afresh := Row{What: "1,000 clusters × 30 objects, nothing known", Unit: "ms", Of: "renderings"}
	changed := Row{What: "after a change of one overlay of 1,000", Unit: "ms", Of: "renderings"}
	for run := range b.runs {
		took, err := serially(fsys, r.federation)
		if err != nil {
			return nil, err
		}
		plain.Values = append(plain.Values, milliseconds(took))
		if took, err = r.afresh(ctx); err != nil {
			return nil, err
		}
		afresh.Values = append(afresh.Values, milliseconds(took))
		if took, err = r.change(ctx, run); err != nil {
			return nil, err
		}
		changed.Values = append(changed.Values, milliseconds(took))
		b.tell("1,000 × 30: krusty %.0f ms, fedsync %.0f ms, one overlay %.1f ms", plain.Values[run], afresh.Values[run], changed.Values[run])
	}
	return []Row{
		plain,
		afresh.must("median", afresh.Median()/plain.Median(), 0.5, "× krusty.Run"),
		changed.medianWithin(100),
	}, nil
}

// rendering is a repository that is rendered.
type rendering struct {
	repo       *repository
	source     *source.Source
	renderer   *render.Renderer // that afresh made last
	federation *federation.Federation
	snapshot   federation.Snapshot
}

func newRendering(ctx context.Context, b *bench, dir string, files map[string]string) (*rendering, error) {
	repo, err := newRepository(ctx, filepath.Join(b.dir, dir), files)
	if err != nil {
		return nil, err
	}
	repo.close() // the branch moves no more: commits are read by their names
	r := &rendering{repo: repo}
	if r.source, err = source.Open(source.Options{URL: repo.bare}, zap.NewNop()); err != nil {
		return nil, err
	}
	if err := r.read(ctx, repo.head); err != nil {
		return nil, err
	}
	_, err = r.afresh(ctx) // warm up
	return r, err
}

// read reads a commit, which the next calls render.
func (r *rendering) read(ctx context.Context, id string) (err error) {
	if r.snapshot, err = r.source.Snapshot(ctx, id); err != nil {
		return err
	}
	r.federation, err = render.Load(r.snapshot)
	return err
}

// afresh renders with a new renderer, whose caches are empty.
func (r *rendering) afresh(ctx context.Context) (time.Duration, error) {
	r.renderer = render.New(render.Options{})
	return r.render(ctx, r.renderer)
}

// change commits another patch of one overlay and renders again.
func (r *rendering) change(ctx context.Context, run int) (time.Duration, error) {
	clusters := r.federation.Clusters
	cluster := clusters[run*len(clusters)/2%len(clusters)].Name
	id, err := r.repo.commit(ctx, map[string]string{overlayFile(cluster): manyOverlay(fmt.Sprintf("changed-%d", run))}, "Change")
	if err != nil {
		return 0, err
	}
	if err := r.read(ctx, id); err != nil {
		return 0, err
	}
	return r.render(ctx, r.renderer)
}

// renderer is a renderer in this process or in another.
type renderer interface {
	Render(ctx context.Context, snapshot federation.Snapshot, f *federation.Federation,
		ready func(federation.Cluster, []federation.Bundle)) ([]federation.Bundle, []federation.Finding)
}

func (r *rendering) render(ctx context.Context, by renderer) (time.Duration, error) {
	runtime.GC() // so that this run does not collect earlier garbage
	began := time.Now()
	bundles, findings := by.Render(ctx, r.snapshot, r.federation, nil)
	took := time.Since(began)
	for _, f := range findings {
		return 0, fmt.Errorf("render: %s", f)
	}
	for _, bundle := range bundles {
		if bundle.Err != nil || len(bundle.Objects) == 0 {
			return 0, fmt.Errorf("render %s: %d objects: %w", bundle.Cluster, len(bundle.Objects), bundle.Err)
		}
	}
	return took, nil
}

// inMemory copies files to memory, where kustomize reads them fastest.
func inMemory(files fs.FS) (filesys.FileSystem, error) {
	fsys := filesys.MakeFsInMemory()
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return fsys.WriteFile("/"+name, data)
	})
	return fsys, err
}

// serially builds all overlays one after the other with kustomize alone.
func serially(fsys filesys.FileSystem, f *federation.Federation) (time.Duration, error) {
	runtime.GC()
	kustomizer := krusty.MakeKustomizer(krusty.MakeDefaultOptions())
	began := time.Now()
	for _, c := range f.Clusters {
		built, err := kustomizer.Run(fsys, path.Dir("/"+overlayFile(c.Name)))
		if err != nil {
			return 0, fmt.Errorf("krusty.Run for %s: %w", c.Name, err)
		}
		if _, err := built.AsYaml(); err != nil {
			return 0, fmt.Errorf("write what krusty.Run built for %s: %w", c.Name, err)
		}
	}
	return time.Since(began), nil
}
