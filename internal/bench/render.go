package main

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"go.uber.org/zap"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
	"github.com/fedsync/fedsync/pkg/source"
)

// measureRender measures package render in this process, on revisions that
// package source reads from real repositories. The first rendering by anybody is
// no part of it: it parses kustomize's schema, once in a process.
func measureRender(ctx context.Context, b *bench) ([]Row, error) {
	var rows []Row
	for _, n := range []int{3, 30, 300} {
		r, err := newRendering(ctx, b, 13, n)
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
	many, err := measureManyOverlays(ctx, b)
	return append(rows, many...), err
}

// measureManyOverlays measures against kustomize itself.
func measureManyOverlays(ctx context.Context, b *bench) ([]Row, error) {
	const clusters, objects = 1000, 30
	r, err := newRendering(ctx, b, clusters, objects)
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
	renderer   *render.Renderer // the one of the last fresh start
	federation *federation.Federation
	snapshot   federation.Snapshot
}

func newRendering(ctx context.Context, b *bench, clusters, objects int) (*rendering, error) {
	names := make([]string, clusters)
	for i := range names {
		names[i] = fmt.Sprintf("cluster-%04d", i)
	}
	dir := filepath.Join(b.dir, fmt.Sprintf("render-%d-%d", clusters, objects))
	repo, err := newRepository(ctx, dir, manyFiles(names, objects, 0))
	if err != nil {
		return nil, err
	}
	repo.close() // of its refs, there is no more to come: commits are read by their names
	r := &rendering{repo: repo}
	if r.source, err = source.Open(source.Options{URL: repo.bare}, zap.NewNop()); err != nil {
		return nil, err
	}
	if err := r.read(ctx, repo.head); err != nil {
		return nil, err
	}
	_, err = r.afresh(ctx) // so that everything is warm
	return r, err
}

// read makes a commit the one that is rendered.
func (r *rendering) read(ctx context.Context, id string) (err error) {
	if r.snapshot, err = r.source.Snapshot(ctx, id); err != nil {
		return err
	}
	r.federation, err = render.Load(r.snapshot)
	return err
}

// afresh renders with a renderer that knows nothing yet.
func (r *rendering) afresh(ctx context.Context) (time.Duration, error) {
	r.renderer = render.New(render.Options{})
	return r.render(ctx)
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
	return r.render(ctx)
}

func (r *rendering) render(ctx context.Context) (time.Duration, error) {
	runtime.GC() // what was before is not this run's to clean up
	began := time.Now()
	bundles, findings := r.renderer.Render(ctx, r.snapshot, r.federation, nil)
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

// inMemory copies files to where kustomize reads them fastest.
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

// serially builds all overlays with kustomize alone.
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
