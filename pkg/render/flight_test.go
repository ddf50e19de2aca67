package render_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
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

func TestOverlaysOfOneSlowBaseFailTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, f := repository(7, 2)
		f.Apps = append(f.Apps, federation.App{Name: "slow", Path: "slow"})
		for _, c := range f.Clusters {
			files["slow/clusters/"+c.Name+"/kustomization.yaml"] = &fstest.MapFile{
				Data: fmt.Appendf(nil, "resources: [../../base]\ncommonAnnotations: {cluster: %s}\n", c.Name),
			}
		}
		// The file is read when the kustomization is looked at, so it is hung on a
		// file that only the build reads.
		files["slow/base/kustomization.yaml"] = &fstest.MapFile{Data: []byte("configMapGenerator: [{name: a, namespace: web, files: [hang.yaml]}]\n")}
		files["slow/base/hang.yaml"] = &fstest.MapFile{Data: []byte("some text")}
		changed := map[string]string{}
		for i, c := range f.Clusters {
			changed["slow/clusters/"+c.Name] = fmt.Sprint("slow", i)
			changed["apps/web/clusters/"+c.Name] = fmt.Sprint("web", i)
		}
		h := hanging{digested: withDigests(maps.Clone(files), changed), letGo: make(chan struct{})}
		r := render.New(render.Options{})
		errs, took := rendered(t.Context(), r, h, f)
		if err := errs["slow"]; err == nil || !strings.Contains(err.Error(), "takes longer than 1m") || took > 2*time.Minute {
			t.Errorf("slow: %v after %s, want that it takes longer than 1m, for all within two", err, took)
		}
		if errs["web"] != nil {
			t.Errorf("web: %v", errs["web"])
		}
		// One goroutine works on the base: there is room for others.
		g := &federation.Federation{Clusters: f.Clusters, Apps: f.Apps[:1]}
		changed["apps/web/base"] = "other"
		h.digested = withDigests(maps.Clone(files), changed)
		if errs, took = rendered(t.Context(), r, h, g); errs["web"] != nil || took != 0 {
			t.Errorf("the next rendering: %v after %s, want it rendered at once", errs["web"], took)
		}
		close(h.letGo)
		synctest.Wait()
	})
}
