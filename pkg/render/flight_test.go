package render_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// hanging are files of which those named hang.yaml are not there before they are
// let go: a build that reads one takes as long.
type hanging struct {
	digested
	letGo chan struct{}
}

func (h hanging) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "/hang.yaml") {
		<-h.letGo
	}
	return h.digested.Open(name)
}

// ReadFile keeps fs.ReadFile from going round Open.
func (h hanging) ReadFile(name string) ([]byte, error) {
	if strings.HasSuffix(name, "/hang.yaml") {
		<-h.letGo
	}
	return h.digested.ReadFile(name)
}

// heavy has an app web that is built at once, and others that take until they are let
// go.
func heavy(others ...string) (hanging, *federation.Federation) {
	files, f := repository(2, 2)
	h := hanging{letGo: make(chan struct{})}
	for _, name := range others {
		f.Apps = append(f.Apps, federation.App{Name: name, Path: name})
		files[name+"/hang.yaml"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(object(1), "namespace: web", "namespace: "+name))}
	}
	h.digested = withDigests(files, nil)
	return h, f
}

// rendered renders, and returns each bundle's error by app and how long it took.
func rendered(ctx context.Context, r *render.Renderer, files fs.FS, f *federation.Federation) (map[string]error, time.Duration) {
	started := time.Now()
	bundles, _ := r.Render(ctx, federation.Snapshot{Files: files}, f, nil)
	errs := map[string]error{}
	for _, b := range bundles {
		errs[b.App] = b.Err
	}
	return errs, time.Since(started)
}

func TestABuildThatHadItsTimeIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, f := heavy("slow")
		r := render.New(render.Options{})
		errs, took := rendered(t.Context(), r, files, f)
		if errs["web"] != nil || took != time.Minute {
			t.Errorf("web: %v after %s, want it rendered after a minute", errs["web"], took)
		}
		if err := errs["slow"]; err == nil || !strings.Contains(err.Error(), "slow: the build takes longer than 1m") {
			t.Errorf("slow: %v, want that it takes longer than 1m", err)
		}

		// While it runs, the next rendering does not try it again.
		errs, took = rendered(t.Context(), r, files, f)
		if errs["web"] != nil || errs["slow"] == nil || took != 0 {
			t.Errorf("again: web %v, slow %v after %s, want the same at once", errs["web"], errs["slow"], took)
		}

		// What it built is right all the same.
		close(files.letGo)
		synctest.Wait()
		if errs, took = rendered(t.Context(), r, files, f); errs["slow"] != nil || took != 0 {
			t.Errorf("when it has ended: %v after %s, want it rendered at once", errs["slow"], took)
		}
	})
}

func TestARenderingThatIsStoppedWaitsForNoBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, f := heavy("slow", "later")
		r := render.New(render.Options{Workers: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		errs, took := rendered(ctx, r, files, f)
		if took != 5*time.Second || errs["slow"] == nil || errs["later"] == nil {
			t.Errorf("%v after %s, want both unrendered after 5s", errs, took)
		}
		// It left one behind, so there is a place, and no other was begun.
		without := *f
		without.Apps = f.Apps[:1]
		if errs, took = rendered(t.Context(), r, files, &without); errs["web"] != nil || took != 0 {
			t.Errorf("the next rendering: %v after %s, want it rendered at once", errs["web"], took)
		}
		close(files.letGo)
		synctest.Wait()
		if errs, took = rendered(t.Context(), r, files, f); errs["slow"] != nil || errs["later"] != nil || took != 0 {
			t.Errorf("when all have ended: %v after %s, want them rendered at once", errs, took)
		}
	})
}

func TestNoMoreBuildsAreLeftBehindThanThereArePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, f := heavy("s1", "s2", "s3", "s4", "s5")
		r := render.New(render.Options{})
		mustRender(t, r, files, &federation.Federation{Clusters: f.Clusters, Apps: f.Apps[:1]})
		errs, took := rendered(t.Context(), r, files, f)
		// Two are begun, and when they have had their time one more: each has a minute.
		// The other two wait for a place in that last minute.
		if want := 2 * time.Minute; took != want {
			t.Errorf("took %s, want %s", took, want)
		}
		for _, name := range []string{"s1", "s2", "s3"} {
			if err := errs[name]; err == nil || !strings.Contains(err.Error(), "takes longer than 1m") {
				t.Errorf("%s: %v, want that it takes longer than 1m", name, err)
			}
		}
		for _, name := range []string{"s4", "s5"} {
			if err := errs[name]; err == nil || !strings.Contains(err.Error(), "not built: 3 earlier builds have had their time and still run: s1, s2") {
				t.Errorf("%s: %v, want that there is no place", name, err)
			}
		}
		if errs["web"] != nil {
			t.Errorf("web: %v, want what was built before", errs["web"])
		}
		close(files.letGo)
		synctest.Wait()
		if errs, took = rendered(t.Context(), r, files, f); took != 0 {
			t.Errorf("when all have ended: %v after %s, want them rendered at once", errs, took)
		}
		for name, err := range errs {
			if err != nil {
				t.Errorf("%s: %v, want it rendered", name, err)
			}
		}
	})
}

// Kustomize itself takes the time here, and looks at no clock.
func TestOverlaysOfOneHeavyBaseFailTogether(t *testing.T) {
	files, f := repository(7, 2)
	f.Apps = append(f.Apps, federation.App{Name: "heavy", Path: "heavy"})
	for _, c := range f.Clusters {
		files["heavy/clusters/"+c.Name+"/kustomization.yaml"] = &fstest.MapFile{
			Data: fmt.Appendf(nil, "resources: [../../base]\npatches:\n- patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: c1, namespace: heavy}, data: {cluster: %s}}'\n", c.Name),
		}
	}
	files["heavy/base/kustomization.yaml"] = &fstest.MapFile{Data: []byte("resources: [all.yaml]\n")}
	var all strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&all, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: heavy}\n", i)
	}
	files["heavy/base/all.yaml"] = &fstest.MapFile{Data: []byte(all.String())}

	const limit = 300 * time.Millisecond
	r := render.New(render.Options{Limits: render.Limits{Time: limit}})
	light := &federation.Federation{Clusters: f.Clusters, Apps: f.Apps[:1]}
	mustRender(t, r, files, light)
	errs, took := rendered(t.Context(), r, files, f)
	t.Logf("rendered in %s", took)
	if err := errs["heavy"]; err == nil || !strings.Contains(err.Error(), "takes longer than 300ms") || took > 10*limit {
		t.Errorf("heavy: %v after %s, want that it takes longer than 300ms, for all clusters together", err, took)
	}
	if errs["web"] != nil {
		t.Errorf("web: %v", errs["web"])
	}
	// One goroutine works on the base, for all: it ends, and what it built counts.
	deadline := time.After(2 * time.Minute)
	for again := time.NewTicker(limit); errs["heavy"] != nil; {
		select {
		case <-again.C:
			one := &federation.Federation{Clusters: []federation.Cluster{{Name: "without-overlay"}}, Apps: f.Apps[1:]}
			errs, _ = rendered(t.Context(), r, files, one)
		case <-deadline:
			t.Fatalf("heavy: %v, want it rendered when the base is built", errs["heavy"])
		}
	}
}
