package badmember_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/badmember"
	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/daemon"
	"github.com/fedsync/fedsync/pkg/render/worker"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

const (
	// canary is the token of the member that misbehaves.
	canary = "CANARY+token/of.the=bad_member-0123456789abcdef"
	// memory is how much more than usual a daemon may take, in bytes.
	memory = 256 << 20
	// patience is how long a test waits for what should take a second.
	patience = 30 * time.Second
)

func TestMain(m *testing.M) {
	worker.Serve() // where this is the process that renders
	os.Exit(m.Run())
}

// world is a daemon with two members that behave and one that does not.
type world struct {
	t       *testing.T
	members map[string]*badmember.Server
	repo    *sourcetest.Repo
	address string // of the page
	logs    *buffer
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, members: map[string]*badmember.Server{}, repo: sourcetest.New(t), logs: &buffer{}}
	for i, name := range []string{"asia", "bad", "europe"} {
		token := "token-of-" + name
		if name == "bad" {
			token = canary
		}
		w.members[name] = badmember.New(t, objectstore.New(objectstore.Options{Name: name, Seed: uint64(i + 1)}), token)
	}
	return w
}

// start runs a daemon until the test's end.
func (w *world) start() {
	w.t.Helper()
	w.t.Setenv("XDG_CACHE_HOME", w.t.TempDir())
	cfg := daemon.NewConfig()
	cfg.Repository, cfg.Instance, cfg.Interval = w.repo.Path, "test", time.Second
	cfg.ProbeInterval, cfg.ProbeTimeout, cfg.RequestTimeout = 200*time.Millisecond, 10*time.Second, 30*time.Second
	cfg.Kubeconfig = filepath.Join(w.t.TempDir(), "kubeconfig")
	if err := os.WriteFile(cfg.Kubeconfig, []byte(badmember.Kubeconfig(w.members)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.address = free.Addr().String()
	_ = free.Close() // for the daemon to take
	cfg.Listen = w.address
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(w.logs), zap.DebugLevel))
	d, err := daemon.New(cfg, daemon.Options{Version: "v0.0.1-test", Log: log})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(func() {
		stop()
		running.Wait()
		if w.t.Failed() {
			w.t.Logf("log: %.20000s", w.logs.String())
		}
	})
}

// push changes the value of the app's ConfigMap.
func (w *world) push(value string) {
	w.repo.Push("value "+value, map[string]string{
		"fedsync.yaml": "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n" +
			"  clusters: [{name: asia}, {name: bad}, {name: europe}]\n  apps: [{name: web, path: apps/web}]\n",
		"apps/web/settings.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: default}\ndata: {value: %q}\n", value),
		"apps/web/replicas.yaml": `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web, namespace: default}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "example.com/web:1"}]
`,
	})
}

// live reads an object of a member as its store has it.
func (w *world) live(cluster, group, resource, name string) *unstructured.Unstructured {
	client, err := dynamic.NewForConfig(w.members[cluster].Store.Config())
	if err != nil {
		w.t.Fatal(err)
	}
	u, err := client.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}).
		Namespace("default").Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return &unstructured.Unstructured{Object: map[string]any{}}
	}
	return u
}

// reached waits until a value is in both clusters that behave.
func (w *world) reached(value string) {
	w.t.Helper()
	w.eventually("value "+value+" is in the good clusters", func() bool {
		for _, cluster := range []string{"asia", "europe"} {
			if got, _, _ := unstructured.NestedString(w.live(cluster, "", "configmaps", "settings").Object, "data", "value"); got != value {
				return false
			}
		}
		return true
	})
}

// page reads a path of the daemon's page.
func (w *world) page(path string) string {
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+w.address+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body) // what cannot be read is not there
	return string(body)
}

// misbehaves waits until the report says so.
func (w *world) misbehaves(words string) {
	w.t.Helper()
	w.eventually("the report says: "+words, func() bool {
		report := w.page("/api/v1/report")
		return strings.Contains(report, words) && strings.Contains(report, "misbehaves") && strings.Contains(report, `"Unknown"`)
	})
}

func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-deadline.C:
			w.t.Fatalf("waited %s until %s; report: %.5000s", patience, what, w.page("/api/v1/report"))
		case <-again.C:
		}
	}
}

// clean fails where a secret of the bad member can be seen.
func (w *world) clean() {
	w.t.Helper()
	for where, text := range map[string]string{
		"log": w.logs.String(), "report": w.page("/api/v1/report"), "page": w.page("/"), "metrics": w.page("/metrics"), "cluster": w.page("/clusters/bad"),
	} {
		for _, shape := range append(badmember.Shapes(canary), "0123456789abcdef") {
			if i := strings.Index(text, shape); i >= 0 {
				w.t.Errorf("%s holds the token as %q: %.300s", where, shape, text[max(0, i-150):])
			}
		}
	}
	if strayed := w.members["bad"].Strayed(); len(strayed) > 0 {
		w.t.Errorf("another host was asked: %.500s", strings.Join(strayed, "; "))
	}
}

// all is set in the environment for every mode to be tried, which takes minutes.
const all = "FEDSYNC_BADMEMBER_ALL"

// modes are one of each kind that takes a second, or all.
func modes() []badmember.Mode {
	short := []string{"compressed discovery", "many groups", "list of small values", "endless event", "event of small values"}
	return slices.DeleteFunc(badmember.Modes(), func(m badmember.Mode) bool {
		return os.Getenv(all) == "" && !slices.Contains(short, m.Name)
	})
}

func TestTheOthersGoOnBesideAMemberThatMisbehaves(t *testing.T) {
	for _, mode := range modes() {
		t.Run(mode.Name, func(t *testing.T) {
			w := newWorld(t)
			bad := w.members["bad"]
			bad.SetMode(mode)
			peak := watchMemory(t)
			w.push("1")
			w.start()
			w.reached("1")
			if mode.Words != "" {
				w.misbehaves(mode.Words)
			} else {
				w.eventually("the member is asked", func() bool { return bad.Asked() > 20 })
			}
			before, began := bad.Asked(), time.Now()
			w.push("2")
			w.reached("2")
			w.clean()
			// Probes, every 200 ms, and what may be tried: not a flood.
			if asked, most := bad.Asked()-before, 60+int(time.Since(began)/(50*time.Millisecond)); asked > most {
				t.Errorf("%d requests in %v, want %d at most", asked, time.Since(began), most)
			}
			if more := peak(); more > memory {
				t.Errorf("%d MiB more than before, want %d at most", more>>20, memory>>20)
			} else {
				t.Logf("%d MiB more than before, %d requests", more>>20, bad.Asked())
			}
		})
	}
}

// watchMemory returns what tells how much more memory the process took at most since
// then, in bytes.
func watchMemory(t *testing.T) func() int64 {
	sample := func() int64 {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(s)
		return int64(s[0].Value.Uint64() - s[1].Value.Uint64()) //nolint:gosec // no process has more
	}
	runtime.GC()
	usual := sample()
	peak := usual
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			peak = max(peak, sample())
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(stop)
	return func() int64 {
		stop()
		<-ended
		return peak - usual
	}
}

// buffer may be written by many.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.text.Len() > 64<<20 {
		return 0, errors.New("the log has no end")
	}
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestModesAreTold(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range badmember.Modes() {
		if m.Name == "" || seen[m.Name] {
			t.Errorf("mode %q twice, or without a name", m.Name)
		}
		seen[m.Name] = true
	}
	if len(slices.Collect(maps.Keys(seen))) < 20 {
		t.Errorf("%d modes", len(seen))
	}
}
