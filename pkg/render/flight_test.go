package render_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

// hanging is a file system that blocks reads of files named hang.yaml until they
// are released, and with them the builds.
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

// ReadFile prevents fs.ReadFile from bypassing Open.
func (h hanging) ReadFile(name string) ([]byte, error) {
	if strings.HasSuffix(name, "/hang.yaml") {
		<-h.letGo
	}
	return h.digested.ReadFile(name)
}

// heavy has an app web that is built immediately, and others that block until they
// are released.
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

// rendered renders, and returns each app's error in its last cluster.
func rendered(ctx context.Context, r *render.Renderer, files fs.FS, f *federation.Federation) map[string]error {
	bundles, _ := r.Render(ctx, federation.Snapshot{Files: files}, f, nil)
	errs := map[string]error{}
	for _, b := range bundles {
		errs[b.App] = b.Err
	}
	return errs
}

func TestARenderingThatIsStoppedBeginsNoFurtherBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		files, f := heavy("slow", "later")
		var begun []string
		r := render.New(render.Options{Workers: 1, Begin: func(dir, _ string) (func(), error) {
			begun = append(begun, dir)
			return func() {}, nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan map[string]error)
		go func() { ended <- rendered(ctx, r, files, f) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("the rendering ends while one of its builds is running")
		default:
		}
		close(files.letGo)
		if errs := <-ended; !errors.Is(errs["slow"], context.Canceled) || !errors.Is(errs["later"], context.Canceled) {
			t.Errorf("%v, want both unrendered", errs)
		}
		if slices.Contains(begun, "later") {
			t.Errorf("begun: %v, want no build after the end", begun)
		}
		if errs := rendered(t.Context(), r, files, f); errs["web"] != nil || errs["slow"] != nil || errs["later"] != nil {
			t.Errorf("the next rendering: %v, want all rendered", errs)
		}
	})
}

// builds has an app with a base and a different overlay in every cluster, and a
// flat app.
func builds(clusters int) (fstest.MapFS, *federation.Federation) {
	files, f := repository(clusters, 2)
	f.Apps = append(f.Apps, federation.App{Name: "flat", Path: "flat"})
	files["flat/a.yaml"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(object(1), "namespace: web", "namespace: flat"))}
	return files, f
}

func TestWorkIsAnnouncedBeforeItBeginsAndRunsSerially(t *testing.T) {
	files, f := builds(3)
	var begun, under []string
	r := render.New(render.Options{Workers: 1, Begin: func(dir, key string) (func(), error) {
		if key == "" {
			t.Errorf("%s has no key", dir)
		}
		what, _, _ := strings.Cut(key, " ")
		if what != "read" {
			what = "build"
			if len(under) > 0 {
				t.Errorf("%s is built within %s, want bases first", dir, under)
			}
		}
		begun = append(begun, what+" "+dir)
		under = append(under, dir)
		return func() {
			if last := len(under) - 1; last < 0 || under[last] != dir {
				t.Fatalf("%s ends while %v are running", dir, under)
			}
			under = under[:len(under)-1]
		}, nil
	}})
	if errs := rendered(t.Context(), r, files, f); errs["web"] != nil || errs["flat"] != nil {
		t.Fatal(errs)
	}
	for _, want := range []string{"read apps/web/base", "build apps/web/base", "build flat"} {
		if !slices.Contains(begun, want) {
			t.Errorf("begun: %v, lacks %q", begun, want)
		}
	}
	for _, c := range f.Clusters {
		if want := "build apps/web/clusters/" + c.Name; !slices.Contains(begun, want) {
			t.Errorf("begun: %v, lacks %q", begun, want)
		}
	}
	if len(under) > 0 {
		t.Errorf("%v never ended", under)
	}
	// Cached work is not repeated.
	before := len(begun)
	rendered(t.Context(), r, files, f)
	if len(begun) != before {
		t.Errorf("again: %v, want nothing", begun[before:])
	}
}

func TestARefusedBuildFailsAloneAndIsTriedAgain(t *testing.T) {
	files, f := builds(3)
	first, second := f.Clusters[0].Name, f.Clusters[1].Name
	for _, c := range []struct {
		refused string
		want    []string // "APP in CLUSTER" of the failures
	}{
		{"apps/web/clusters/" + first, []string{"web in " + first}},
		{"flat", []string{"flat in " + first, "flat in " + second, "flat in " + f.Clusters[2].Name}},
		// An overlay's build includes its base's.
		{"apps/web/base", []string{"web in " + first, "web in " + second, "web in " + f.Clusters[2].Name}},
	} {
		t.Run(strings.ReplaceAll(c.refused, "/", "-"), func(t *testing.T) {
			var mu sync.Mutex
			refuse := true
			r := render.New(render.Options{Begin: func(dir, key string) (func(), error) {
				mu.Lock()
				defer mu.Unlock()
				if refuse && dir == c.refused && !strings.HasPrefix(key, "read ") {
					return nil, fmt.Errorf("%s is not to be built", dir)
				}
				return func() {}, nil
			}})
			bundles, findings := r.Render(t.Context(), federation.Snapshot{Files: files}, f, nil)
			var failed []string
			for _, b := range bundles {
				if b.Err != nil {
					failed = append(failed, b.App+" in "+b.Cluster)
					if want := c.refused + " is not to be built"; b.Err.Error() != want {
						t.Errorf("%s in %s: %q, want %q", b.App, b.Cluster, b.Err, want)
					}
				}
			}
			slices.Sort(failed)
			slices.Sort(c.want)
			if !slices.Equal(failed, c.want) {
				t.Errorf("not rendered: %v, want %v", failed, c.want)
			}
			if len(findings) == 0 {
				t.Error("nothing is reported")
			}
			refuse = false
			if errs := rendered(t.Context(), r, files, f); errs["web"] != nil || errs["flat"] != nil {
				t.Errorf("when it is no longer refused: %v", errs)
			}
		})
	}
}

// Equal apps share a build. If it fails, each app's error names its own files. That
// takes one more build for each app, not for each of its clusters.
func TestEqualAppsThatFailAreEachBuiltOnce(t *testing.T) {
	const apps, clusters = 10, 20
	files, f := fstest.MapFS{}, &federation.Federation{}
	for i := range clusters {
		f.Clusters = append(f.Clusters, federation.Cluster{Name: fmt.Sprintf("c%d", i)})
	}
	for i := range apps {
		name := fmt.Sprintf("a%d", i)
		files[name+"/x.yaml"] = &fstest.MapFile{Data: []byte(strings.Repeat("--- 1\n", 200))}
		f.Apps = append(f.Apps, federation.App{Name: name, Path: name})
	}
	builds := map[string]int{}
	r := render.New(render.Options{Workers: 1, Begin: func(dir, _ string) (func(), error) {
		builds[dir]++
		return func() {}, nil
	}})
	bundles, _ := r.Render(t.Context(), federation.Snapshot{Files: files}, f, nil)
	for _, b := range bundles {
		if b.Err == nil || !strings.HasPrefix(b.Err.Error(), b.App+"/x.yaml:1: ") {
			t.Fatalf("%s in %s: %v", b.App, b.Cluster, b.Err)
		}
		if n := strings.Count(b.Err.Error(), "\n") + 1; n != 51 || !strings.Contains(b.Err.Error(), "and 150 more mistakes") {
			t.Fatalf("%s in %s has %d mistakes, want 50 and how many more", b.App, b.Cluster, n)
		}
	}
	for dir, n := range builds {
		if n != 1 {
			t.Errorf("%s is built %d times", dir, n)
		}
	}
	if len(builds) != apps {
		t.Errorf("%d folders are built, want %d", len(builds), apps)
	}
}
