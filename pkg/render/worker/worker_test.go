package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fedsync/fedsync/internal/raced"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/render"
)

func TestAConfinedProcessCanDoNothing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	file := filepath.Join(t.TempDir(), "file")
	cmd.Args = []string{probeName, listener.Addr().String(), file}
	cmd.SysProcAttr = attributes()
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "done\n" {
		t.Errorf("it can: %s (%v)", out, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("it wrote a file")
	}
}

// counted is a file system that counts its reads.
type counted struct {
	fs.FS

	asked atomic.Int64
	hang  chan struct{} // files named hang.yaml wait for it
}

func (c *counted) ReadDir(name string) ([]fs.DirEntry, error) {
	c.asked.Add(1)
	return fs.ReadDir(c.FS, name)
}

func (c *counted) ReadFile(name string) ([]byte, error) {
	c.asked.Add(1)
	if c.hang != nil && strings.HasSuffix(name, "hang.yaml") {
		<-c.hang
	}
	return fs.ReadFile(c.FS, name)
}

// Digest returns the content; of a folder, of everything below it.
func (c *counted) Digest(name string) (string, error) {
	var b strings.Builder
	err := fs.WalkDir(c.FS, name, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(c.FS, at)
		fmt.Fprintf(&b, "%s %x\n", strings.TrimPrefix(at, name), content)
		return err
	})
	return shorten(b.String()), err
}

func shorten(text string) string {
	return fmt.Sprintf("%x", sum([]byte(text)))
}

const clusters = 4

// repository has an app with overlays, which differ in each cluster except the
// last, a flat app, and an app with a mistake in one cluster.
func repository() (fstest.MapFS, *federation.Federation) {
	files := fstest.MapFS{}
	put := func(name, format string, args ...any) {
		files[name] = &fstest.MapFile{Data: fmt.Appendf(nil, format, args...)}
	}
	f := &federation.Federation{}
	for i := range clusters {
		name := fmt.Sprintf("c%d", i)
		f.Clusters = append(f.Clusters, federation.Cluster{Name: name, Labels: map[string]string{"region": fmt.Sprintf("r%d", i%2)}})
		if i < clusters-1 {
			put("apps/web/clusters/"+name+"/kustomization.yaml", "resources: [../../base, own.yaml]\npatches:\n- patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {cluster: %s}}'\n", name)
			put("apps/web/clusters/"+name+"/own.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: own, namespace: %s}}", name)
		}
	}
	put("apps/web/base/web.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: web}, data: {a: b}}")
	put("apps/web/base/kustomization.yaml", "resources: [web.yaml]\n")
	put("apps/flat/all.yaml", "{apiVersion: v1, kind: Service, metadata: {name: flat}}\n---\n{apiVersion: v1, kind: Namespace, metadata: {name: web}}\n")
	put("apps/wrong/clusters/c1/kustomization.yaml", "resources: [missing.yaml]\nhelmCharts: []\n")
	put("apps/wrong/base/a.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: wrong}}")
	f.Apps = []federation.App{{Name: "web", Path: "apps/web"}, {Name: "flat", Path: "apps/flat"}, {Name: "wrong", Path: "apps/wrong"}}
	return files, f
}

// shown writes everything about bundles and findings.
func shown(bundles []federation.Bundle, findings []federation.Finding) string {
	var b strings.Builder
	for _, one := range bundles {
		fmt.Fprintf(&b, "%s/%s: %v\n", one.Cluster, one.App, one.Err)
		for _, o := range one.Objects {
			fmt.Fprintf(&b, "  %s %s %s %s %s\n", o.Ref, o.Version, o.File, o.Digest, o.JSON)
		}
	}
	for _, f := range findings {
		fmt.Fprintf(&b, "%+v\n", f)
	}
	return b.String()
}

func newWorker(t *testing.T, o Options) *Worker {
	t.Helper()
	w := New(o)
	t.Cleanup(w.Close)
	return w
}

func TestAWorkerRendersLikeARenderer(t *testing.T) {
	files, f := repository()
	w := newWorker(t, Options{})
	r := render.New(render.Options{})
	for i := range 5 {
		switch i {
		case 1: // an overlay changes
			files["apps/web/clusters/c1/own.yaml"].Data = []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: own2}}")
		case 2: // an app is removed
			f.Apps = f.Apps[:2]
		case 3: // a cluster is removed
			f.Clusters = f.Clusters[1:]
		}
		for _, of := range []fs.FS{files, &counted{FS: files}} {
			snapshot := federation.Snapshot{Files: of}
			var ready []federation.Bundle
			bundles, findings := w.Render(t.Context(), snapshot, f, func(c federation.Cluster, bundles []federation.Bundle) {
				ready = append(ready, bundles...)
				if len(bundles) > 0 && bundles[0].Cluster != c.Name {
					t.Errorf("cluster %s gets the bundles of %s", c.Name, bundles[0].Cluster)
				}
			})
			wantBundles, wantFindings := r.Render(t.Context(), snapshot, f, nil)
			got, want := shown(bundles, findings), shown(wantBundles, wantFindings)
			if got != want {
				t.Errorf("revision %d: got\n%s\nwant\n%s", i, got, want)
			}
			if shown(ready, nil) != shown(bundles, nil) {
				t.Errorf("revision %d: ready got\n%s", i, shown(ready, nil))
			}
		}
	}
}

func TestAPushCostsFewQuestions(t *testing.T) {
	files, f := repository()
	w := newWorker(t, Options{})
	render := func() int64 {
		of := &counted{FS: files}
		if bundles, _ := w.Render(t.Context(), federation.Snapshot{Files: of}, f, nil); len(bundles) != 12 {
			t.Fatalf("%d bundles", len(bundles))
		}
		return of.asked.Load()
	}
	f.Apps = f.Apps[:2] // a failure is not cached
	f.Apps = append(f.Apps, federation.App{Name: "more", Path: "apps/wrong/base"})
	first := render()
	if again := render(); again != 0 {
		t.Errorf("the same revision: %d questions after %d, want none", again, first)
	}
	files["apps/web/clusters/c1/own.yaml"].Data = []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: own2}}")
	// Five folders on the path, the two files of the last, and those of its
	// base.
	if changed := render(); changed > 9 {
		t.Errorf("one file changed: %d questions after %d, want 9 at most", changed, first)
	}
}

// endless adds an app whose build takes minutes, in every cluster.
func endless(files fstest.MapFS, f *federation.Federation) {
	var all strings.Builder
	for i := range 9900 {
		fmt.Fprintf(&all, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}}\n", i)
	}
	files["apps/endless/all.yaml"] = &fstest.MapFile{Data: []byte(all.String())}
	files["apps/endless/kustomization.yaml"] = &fstest.MapFile{Data: []byte("namePrefix: a-\nresources: [all.yaml]\n")}
	f.Apps = slices.Insert(f.Apps, 0, federation.App{Name: "endless", Path: "apps/endless"})
}

// patient scales a time limit by the slowdown of the race detector.
func patient(d time.Duration) time.Duration {
	if raced.Detector {
		return 3 * d
	}
	return d
}

// errorsOf returns each app's error in the last cluster.
func errorsOf(bundles []federation.Bundle) map[string]string {
	errs := map[string]string{}
	for _, b := range bundles {
		errs[b.App] = ""
		if b.Err != nil {
			errs[b.App] = b.Err.Error()
		}
	}
	return errs
}

func TestABuildIsStoppedWhenItTakesTooLong(t *testing.T) {
	files, f := repository()
	endless(files, f)
	f.Apps = f.Apps[:3]
	w := newWorker(t, Options{Time: patient(time.Second)})
	var ready int
	bundles, findings := w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f,
		func(federation.Cluster, []federation.Bundle) { ready++ })
	errs := errorsOf(bundles)
	if want := "apps/endless/kustomization.yaml: the build takes longer than " + patient(time.Second).String() + " of processor time"; !strings.HasPrefix(errs["endless"], want) {
		t.Errorf("got %q, want %q", errs["endless"], want)
	}
	if errs["web"] != "" || errs["flat"] != "" {
		t.Errorf("the others: %v", errs)
	}
	if ready != clusters {
		t.Errorf("%d clusters were ready, want %d", ready, clusters)
	}
	if len(findings) != 1 || findings[0].File != "apps/endless/kustomization.yaml" || findings[0].Remedy.IsZero() {
		t.Errorf("findings: %+v", findings)
	}
	// It is not tried again with each push that contains it.
	began := time.Now()
	bundles, _ = w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f, nil)
	if took := time.Since(began); took > patient(900*time.Millisecond) || errorsOf(bundles)["endless"] == "" {
		t.Errorf("again: %v after %s, want the same at once", errorsOf(bundles), took)
	}
	// After a change it is.
	files["apps/endless/kustomization.yaml"].Data = []byte("resources: []\nconfigMapGenerator: [{name: a}]\n")
	bundles, _ = w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f, nil)
	if errs := errorsOf(bundles); errs["endless"] != "" {
		t.Errorf("mended: %v", errs)
	}
}

func TestABuildIsStoppedWhenItTakesTooMuchMemory(t *testing.T) {
	if raced.Detector {
		t.Log("the race detector takes memory of its own, so there is no limit")
		return
	}
	files, f := repository()
	f.Apps = append(f.Apps[:2], federation.App{Name: "large", Path: "apps/large"})
	// Kustomize makes many copies of what it reads.
	files["apps/large/large.txt"] = &fstest.MapFile{Data: bytes.Repeat([]byte("0123456789abcde\n"), 60_000)}
	kustomization := []byte("configMapGenerator:\n")
	for i := range 60 {
		kustomization = fmt.Appendf(kustomization, "- {name: c%d, files: [large.txt]}\n", i)
	}
	files["apps/large/kustomization.yaml"] = &fstest.MapFile{Data: kustomization}
	w := newWorker(t, Options{Memory: 96 << 20, Time: time.Minute}) // so that a slow processor does not exceed the time limit
	for range 2 {
		bundles, _ := w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f, nil)
		errs := errorsOf(bundles)
		if want := "the build takes more than 96 MiB of memory"; !strings.Contains(errs["large"], want) || errs["web"] != "" || errs["flat"] != "" {
			t.Errorf("got %v, want large: %q", errs, want)
		}
	}
}

func TestANewerRevisionEndsABuild(t *testing.T) {
	files, f := repository()
	endless(files, f)
	w := newWorker(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	began := time.Now()
	bundles, findings := w.Render(ctx, federation.Snapshot{Files: &counted{FS: files}}, f, nil)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	if len(bundles) != clusters*len(f.Apps) || len(findings) > 0 {
		t.Errorf("%d bundles, %v", len(bundles), findings)
	}
	for _, b := range bundles {
		if !errors.Is(b.Err, context.DeadlineExceeded) {
			t.Errorf("%s in %s: %v", b.App, b.Cluster, b.Err)
		}
	}
	f.Apps = f.Apps[1:3]
	if bundles, _ = w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f, nil); errorsOf(bundles)["web"] != "" {
		t.Errorf("the next revision: %v", errorsOf(bundles))
	}
}

func TestFilesThatHangDoNotHoldUpTheEnd(t *testing.T) {
	files, f := repository()
	files["apps/flat/hang.yaml"] = &fstest.MapFile{Data: []byte("{}")}
	of := &counted{FS: files, hang: make(chan struct{})}
	defer close(of.hang)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	w := newWorker(t, Options{})
	began := time.Now()
	w.Render(ctx, federation.Snapshot{Files: of}, f, nil)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

// The system or a user may kill a process at any time.
func TestAProcessThatIsKilledIsReplaced(t *testing.T) {
	files, f := repository()
	f.Apps = f.Apps[:2]
	w := newWorker(t, Options{})
	r := func(ready func(federation.Cluster, []federation.Bundle)) map[string]string {
		bundles, _ := w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f, ready)
		return errorsOf(bundles)
	}
	kill := func() { _ = syscall.Kill(w.process.pid, syscall.SIGKILL) }
	if errs := r(nil); errs["web"] != "" {
		t.Fatal(errs)
	}
	kill() // between renderings
	if errs := r(nil); errs["web"] != "" || errs["flat"] != "" {
		t.Errorf("killed at rest: %v", errs)
	}
	for at := range clusters { // and within one
		w.discard()
		told := map[string]int{}
		errs := r(func(c federation.Cluster, _ []federation.Bundle) {
			if told[c.Name]++; len(told) == at+1 && told[c.Name] == 1 {
				kill()
			}
		})
		if errs["web"] != "" || errs["flat"] != "" {
			t.Errorf("killed at cluster %d: %v", at, errs)
		}
		for name, times := range told {
			if times != 1 {
				t.Errorf("cluster %s was ready %d times", name, times)
			}
		}
	}
}

func TestAProcessEndsWithItsPipe(t *testing.T) {
	p, err := start(t.Context(), DefaultMemory, DefaultNiceness)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it continues")
		p.end()
	}
}

func TestManySlowBuildsLeaveTimeForTheOthers(t *testing.T) {
	files, f := repository()
	f.Apps = f.Apps[:2]
	for i := range patientStops + 1 {
		name := fmt.Sprintf("apps/endless%d", i)
		endless(files, f)
		f.Apps[0] = federation.App{Name: fmt.Sprintf("endless%d", i), Path: name}
		files[name+"/all.yaml"] = files["apps/endless/all.yaml"]
		files[name+"/kustomization.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, "namePrefix: a%d-\nresources: [all.yaml]\n", i)}
	}
	w := newWorker(t, Options{Time: patient(time.Second)})
	bundles, _ := w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f, nil)
	for app, text := range errorsOf(bundles) {
		if bad := strings.HasPrefix(app, "endless"); bad != strings.Contains(text, "takes longer than") {
			t.Errorf("%s: %q", app, text)
		}
	}
	if len(w.stopped) != patientStops {
		t.Errorf("%d are remembered, want those %d that had all of their time", len(w.stopped), patientStops)
	}
}

func TestAnAppThatTakesLongIsRenderedAfterTheOthers(t *testing.T) {
	files, f := repository()
	f.Apps = f.Apps[:2]
	endless(files, f)
	// So much time that only the endless app takes long, even on a machine that has
	// little left.
	w := newWorker(t, Options{Time: time.Minute})
	render := func(ctx context.Context, value string, sofar func()) (called int, errs map[string]string) {
		files["apps/flat/more.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, "{apiVersion: v1, kind: ConfigMap, metadata: {name: more}, data: {a: %q}}\n", value)}
		bundles, _ := w.RenderInSteps(ctx, federation.Snapshot{Files: &counted{FS: files}}, f, nil, func(bundles []federation.Bundle, findings []federation.Finding) {
			called++
			for app, text := range errorsOf(bundles) {
				if late := app == "endless"; late != (text != "") {
					t.Errorf("so far %s: %q", app, text)
				}
			}
			if len(findings) > 0 {
				t.Errorf("so far: %v", findings)
			}
			sofar()
		})
		return called, errorsOf(bundles)
	}
	// A newer revision arrives while only the slow app is missing.
	var known *process
	for _, value := range []string{"a", "b", "c"} {
		ctx, stop := context.WithCancel(t.Context())
		if called, _ := render(ctx, value, stop); called != 1 {
			t.Errorf("%s: %d partial results, want one", value, called)
		}
		stop()
		if w.process == nil || known != nil && w.process != known {
			t.Errorf("%s: the process that has the others cached has ended", value)
		}
		known = w.process
	}
	w.o.Time = patient(3 * time.Second)
	if called, errs := render(t.Context(), "d", func() {}); called != 1 || errs["flat"] != "" || !strings.Contains(errs["endless"], "takes longer than") {
		t.Errorf("%d partial results, errors at the end: %v", called, errs)
	}
	// Its result is now known.
	if called, errs := render(t.Context(), "e", func() {}); called != 0 || errs["flat"] != "" || errs["endless"] == "" {
		t.Errorf("%d partial results, errors at the end: %v", called, errs)
	}
}

func TestARevisionHasATimeLimitInTotal(t *testing.T) {
	files, f := repository()
	// Each folder stays within its own limit.
	var all strings.Builder
	for i := range 150 {
		fmt.Fprintf(&all, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}}\n", i)
	}
	f.Apps = f.Apps[1:2]
	for i := range 400 {
		name := fmt.Sprintf("a%d", i)
		files[name+"/all.yaml"] = &fstest.MapFile{Data: []byte(all.String())}
		files[name+"/kustomization.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, "namePrefix: a%d-\nresources: [all.yaml]\n", i)}
		f.Apps = append(f.Apps, federation.App{Name: name, Path: name})
	}
	f.Clusters = f.Clusters[:1]
	w := newWorker(t, Options{Time: patient(150 * time.Millisecond)})
	bundles, findings := w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f, nil)
	if len(bundles) != len(f.Apps) || bundles[0].Err != nil || len(findings) == 0 {
		t.Fatalf("%d bundles, the first: %v; findings %v", len(bundles), bundles[0].Err, findings)
	}
	for _, one := range findings {
		if !strings.HasSuffix(one.File, "/kustomization.yaml") || !strings.Contains(one.Message.String(), "has used up its") {
			t.Errorf("got %v", one)
		}
	}
	f.Apps = f.Apps[:1]
	if bundles, _ = w.Render(t.Context(), federation.Snapshot{Files: &counted{FS: files}}, f, nil); bundles[0].Err != nil {
		t.Errorf("the next revision: %v", bundles[0].Err)
	}
}

// FuzzFollow feeds the parent arbitrary messages from a process.
func FuzzFollow(f *testing.F) {
	files, fed := repository()
	of := &counted{FS: files}
	seed := func(messages ...any) {
		var b bytes.Buffer
		for _, m := range messages {
			if data, raw := m.([]byte); raw {
				b.Write(data)
			} else if err := writeFrame(&b, m); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(b.Bytes())
	}
	cm := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`)
	seed(fromProcess{Ask: &question{Op: "list", Name: "."}}, fromProcess{End: &end{Stopped: true}})
	seed(fromProcess{Ask: &question{Op: "read", Name: "../../etc/passwd", Limit: -1}})
	seed(fromProcess{Begin: &work{Dir: "a", Key: "b"}}, fromProcess{Ended: true}, fromProcess{Ended: true})
	seed(fromProcess{Objects: []object{{ID: 2, File: "f", Size: len(cm)}}}, cm,
		fromProcess{List: &list{ID: 1, Objects: []uint64{2}}},
		fromProcess{Failure: &failure{ID: 3, Problems: []problem{{Text: "no"}}}},
		fromProcess{Given: &given{Bundles: []bundle{{App: 0, List: 1}, {App: 1, Error: 3}, {App: 2}}}},
		fromProcess{Findings: []federation.Finding{{ID: "x", Message: untrusted.New("m")}}}, fromProcess{End: &end{}})
	f.Fuzz(func(t *testing.T, said []byte) {
		w := New(Options{})
		p := &process{pid: os.Getpid(), in: nowhere{}, last: &lastWords{}, store: newStore(), started: time.Now()}
		p.store.turn()
		p.out = reader(said)
		follow := &following{rendering: &rendering{Worker: w, snapshot: federation.Snapshot{Files: of}, federation: fed}, process: p}
		if follow.follow(&request{}) != nil {
			return
		}
		for _, b := range follow.outcome.bundles {
			for _, o := range b.Objects {
				if o.Unstructured().GetName() != o.Ref.Name { // panics if it cannot be decoded
					t.Errorf("%s has the reference %s", o.JSON, o.Ref)
				}
			}
		}
	})
}
