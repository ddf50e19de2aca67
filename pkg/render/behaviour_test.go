package render_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/federation/fedfile"
	"github.com/fedsync/fedsync/pkg/render"
)

func TestObjectsThatNoPatchTouchesAreShared(t *testing.T) {
	files, f := repository(3, 6)
	delete(files, "apps/web/clusters/c0002/kustomization.yaml") // c0002 runs base
	bundles := mustRender(t, render.New(render.Options{}), withDigests(files, nil), f)
	a, b, base := bundles[0].Objects, bundles[1].Objects, bundles[2].Objects
	if len(base) != 6 {
		t.Fatalf("%d objects, want 6", len(base))
	}
	for i := range base {
		switch patched := i == 0; {
		case patched && (a[i] == b[i] || a[i] == base[i]):
			t.Errorf("%s is patched in each cluster, but shared", base[i].Ref)
		case !patched && (a[i] != b[i] || a[i] != base[i]):
			t.Errorf("%s is patched in no cluster, but not shared", base[i].Ref)
		}
	}
}

func TestClustersWithEqualOverlaysShareOneBuildAndNameTheirOwnFiles(t *testing.T) {
	files, f := repository(2, 3)
	extra := "apiVersion: v1\nkind: Secret\nmetadata: {name: extra, namespace: web}\n"
	for _, c := range f.Clusters {
		dir := "apps/web/clusters/" + c.Name
		files[dir+"/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [../../base, extra.yaml]\n")}
		files[dir+"/extra.yaml"] = &fstest.MapFile{Data: []byte(extra)}
	}
	bundles := mustRender(t, render.New(render.Options{}), files, f)
	for i, c := range f.Clusters {
		last := bundles[i].Objects[3]
		if want := "apps/web/clusters/" + c.Name + "/extra.yaml"; last.File != want {
			t.Errorf("%s in %s comes from %s, want %s", last.Ref, c.Name, last.File, want)
		}
	}
	if bundles[0].Objects[0] != bundles[1].Objects[0] {
		t.Error("clusters with equal overlays share no objects")
	}
}

func TestEqualOverlaysThatAreBrokenAreEachNamed(t *testing.T) {
	files, f := repository(2, 3)
	for _, c := range f.Clusters {
		files["apps/web/clusters/"+c.Name+"/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [../../base, missing.yaml]\n")}
	}
	bundles, findings := render.New(render.Options{}).Render(t.Context(), federation.Snapshot{Files: files}, f, nil)
	for i, c := range f.Clusters {
		var e *render.Error
		if want := "apps/web/clusters/" + c.Name + "/kustomization.yaml"; !errors.As(bundles[i].Err, &e) || e.File != want || e.Line != 1 {
			t.Errorf("%s: %v, want an error of %s:1", c.Name, bundles[i].Err, want)
		}
	}
	if len(findings) != 2 {
		t.Errorf("%d findings, want one a cluster: %v", len(findings), findings)
	}
}

func TestAnErrorInEveryClusterIsReportedOnce(t *testing.T) {
	files, f := repository(3, 3)
	files["apps/web/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [missing.yaml]\n")}
	bundles, findings := render.New(render.Options{}).Render(t.Context(), federation.Snapshot{Files: files}, f, nil)
	if len(bundles) != 3 || bundles[0].Err == nil || bundles[2].Err == nil {
		t.Fatalf("bundles = %v, want three with errors", bundles)
	}
	if len(findings) != 1 || findings[0].Cluster != "" || findings[0].File != "apps/web/kustomization.yaml" || findings[0].Line != 1 {
		t.Errorf("findings = %v, want one of apps/web/kustomization.yaml:1, of no cluster", findings)
	}
}

// reads counts the reads of each file.
type reads struct {
	digested
	mu    *sync.Mutex // protects files
	files map[string]int
}

func (r reads) ReadFile(name string) ([]byte, error) {
	r.mu.Lock()
	r.files[name]++
	r.mu.Unlock()
	return r.digested.ReadFile(name)
}

func (r reads) Open(name string) (fs.File, error) { return r.digested.Open(name) }

func TestAChangedOverlayRendersThatClusterAlone(t *testing.T) {
	files, f := repository(20, 6)
	r := render.New(render.Options{})
	before := mustRender(t, r, withDigests(files, nil), f)

	const folder = "apps/web/clusters/c0007"
	files = maps.Clone(files)
	files[folder+"/kustomization.yaml"] = &fstest.MapFile{Data: []byte(overlay("changed"))}
	second := reads{digested: withDigests(files, map[string]string{folder: "changed"}), mu: new(sync.Mutex), files: map[string]int{}}
	after := mustRender(t, r, second, f)

	for i := range before {
		same := before[i].Objects[0] == after[i].Objects[0]
		if want := i != 7; same != want {
			t.Errorf("%s runs the same object as before: %t, want %t", before[i].Cluster, same, want)
		}
	}
	if got := string(after[7].Objects[0].JSON); !strings.Contains(got, `"example.com/cluster":"changed"`) {
		t.Errorf("the changed overlay renders %s", got)
	}
	if diff := cmp.Diff(map[string]int{folder + "/kustomization.yaml": 1}, second.files); diff != "" {
		t.Errorf("files read the second time (-want +got):\n%s", diff)
	}
}

func TestAChangedBaseRendersEveryCluster(t *testing.T) {
	for _, digests := range []bool{true, false} {
		files, f := repository(3, 6)
		snapshot := func(files fstest.MapFS, changed map[string]string) fs.FS {
			if digests {
				return withDigests(files, changed)
			}
			return files
		}
		r := render.New(render.Options{})
		mustRender(t, r, snapshot(files, nil), f)
		files = maps.Clone(files)
		files["apps/web/base/o000.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(object(0), "replicas: 3", "replicas: 4", 1))}
		for _, b := range mustRender(t, r, snapshot(files, map[string]string{"apps/web/base": "changed"}), f) {
			if got := string(b.Objects[0].JSON); !strings.Contains(got, `"replicas":4`) {
				t.Errorf("digests %t: %s runs %s, want replicas: 4", digests, b.Cluster, got)
			}
		}
	}
}

func TestClustersAreReadyInTheirOrderWhileRenderRuns(t *testing.T) {
	files, f := repository(30, 3)
	f.Apps = append(f.Apps, federation.App{Name: "none", Path: "none"})
	files["none/a.yaml"] = &fstest.MapFile{Data: []byte("{}")}
	files["none/b.yaml"] = &fstest.MapFile{Data: []byte(object(2))}
	files["none/a.yaml"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(object(2), "namespace: web", "namespace: none"))}
	delete(files, "none/b.yaml")
	var order []string
	var given []federation.Bundle
	all, findings := render.New(render.Options{}).Render(t.Context(), federation.Snapshot{Files: files}, f, func(c federation.Cluster, bundles []federation.Bundle) {
		order = append(order, c.Name)
		if len(bundles) != 2 || bundles[0].App != "web" || bundles[1].App != "none" || bundles[0].Cluster != c.Name {
			t.Errorf("%s gets %v, want its bundles of web and none", c.Name, bundles)
		}
		given = append(given, bundles...)
	})
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	for i, c := range f.Clusters {
		if i >= len(order) || order[i] != c.Name {
			t.Fatalf("order = %v, want that of the federation", order)
		}
	}
	if diff := cmp.Diff(all, given, cmp.AllowUnexported(federation.Bundle{})); diff != "" {
		t.Errorf("the returned bundles differ from those passed to ready:\n%s", diff)
	}
}

func TestAClusterWithoutAppsIsReadyWithNothing(t *testing.T) {
	_, f := repository(2, 3)
	f.Apps = nil
	ready := 0
	bundles, _ := render.New(render.Options{}).Render(t.Context(), federation.Snapshot{Files: fstest.MapFS{}}, f, func(_ federation.Cluster, b []federation.Bundle) {
		ready++
		if len(b) != 0 {
			t.Errorf("bundles = %v, want none", b)
		}
	})
	if ready != 2 || len(bundles) != 0 {
		t.Errorf("%d clusters were ready, %d bundles; want 2 and 0", ready, len(bundles))
	}
}

func TestACancelledRenderingReturnsErrorsThatAreNotCached(t *testing.T) {
	files, f := repository(5, 3)
	r := render.New(render.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	bundles, _ := r.Render(ctx, federation.Snapshot{Files: files}, f, nil)
	if len(bundles) != 5 {
		t.Fatalf("%d bundles, want 5", len(bundles))
	}
	for _, b := range bundles {
		if !errors.Is(b.Err, context.Canceled) || b.Objects != nil {
			t.Errorf("%s: %d objects, error %v, want none and %v", b.Cluster, len(b.Objects), b.Err, context.Canceled)
		}
	}
	mustRender(t, r, files, f)
}

func TestRenderingIsTheSameWhateverWasRenderedBefore(t *testing.T) {
	files, f := repository(13, 9)
	fresh := mustRender(t, render.New(render.Options{Workers: 1}), files, f)
	r := render.New(render.Options{Workers: 4})
	mustRender(t, r, withDigests(files, nil), f)
	again := mustRender(t, r, withDigests(files, nil), f)
	if diff := cmp.Diff(fresh, again); diff != "" {
		t.Errorf("(-fresh +again):\n%s", diff)
	}
}

func TestARendererIsSafeForConcurrentUse(t *testing.T) {
	files, f := repository(8, 6)
	r := render.New(render.Options{})
	want := mustRender(t, render.New(render.Options{}), files, f)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			got, _ := r.Render(t.Context(), federation.Snapshot{Files: files}, f, nil)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	running.Wait()
}

func TestLimitsNameWhatExceedsThem(t *testing.T) {
	files, f := repository(1, 6)
	deep := maps.Clone(files)
	deep["apps/web/clusters/c0000/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [../../base, ../../../../x0]\n")}
	for i := range 20 {
		deep[fmt.Sprintf("x%d/kustomization.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "resources: [../x%d]\n", i+1)}
	}
	deep["x20/kustomization.yaml"] = &fstest.MapFile{Data: []byte("namePrefix: x-\n")}
	wide := maps.Clone(deep)
	for i := range 20 {
		wide[fmt.Sprintf("x%d/kustomization.yaml", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "resources: [../x%d, ../x%d]\n", i+1, i+1)}
	}
	flat := fstest.MapFS{}
	for name, file := range files {
		if rest, ok := strings.CutPrefix(name, "apps/web/base/o"); ok {
			flat["apps/web/"+rest] = file
		}
	}
	cases := []struct {
		name   string
		files  fstest.MapFS
		limits render.Limits
		want   string
	}{
		{"file", files, render.Limits{FileBytes: 300}, "apps/web/base/kustomization.yaml:2: resources[0]: o000.yaml: has"},
		{"bytes", files, render.Limits{Bytes: 1000}, "the build reads more than 1000 bytes"},
		{"objects", files, render.Limits{Objects: 5}, "the build has more than 5 objects"},
		{"depth", deep, render.Limits{}, "deeper than 16"},
		{"kustomizations", wide, render.Limits{Depth: 50, Kustomizations: 100}, "visits more than 100 kustomizations"},
		{"plain bytes", flat, render.Limits{Bytes: 1000}, "more than 1000 bytes"},
		{"plain objects", flat, render.Limits{Objects: 5}, "more than 5 objects"},
		{"plain file", flat, render.Limits{FileBytes: 300}, "apps/web/000.yaml: has"},
	}
	for _, c := range cases {
		bundles, _ := render.New(render.Options{Limits: c.limits}).Render(t.Context(), federation.Snapshot{Files: c.files}, f, nil)
		if err := bundles[0].Err; err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", c.name, err, c.want)
		}
	}
}

func TestLoadNamesWhatToAdd(t *testing.T) {
	_, err := render.Load(federation.Snapshot{Files: fstest.MapFS{}})
	if err == nil || !strings.Contains(err.Error(), "fedsync.yaml is missing at the root") {
		t.Errorf("Load = %v, want an error that fedsync.yaml is missing", err)
	}
	_, err = render.Load(federation.Snapshot{Files: fstest.MapFS{"fedsync.yaml": {Data: []byte("kind: x")}}})
	if _, ok := errors.AsType[fedfile.Errors](err); !ok {
		t.Errorf("Load = %v, want fedfile.Errors", err)
	}
}
