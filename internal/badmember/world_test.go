package badmember_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/badmember"
	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/objectstore"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

// world is a daemon with two members that behave and one that does not.
type world struct {
	t       *testing.T
	members map[string]*badmember.Server
	clients map[string]dynamic.Interface // for the members' stores
	repo    *sourcetest.Repo
	daemon  *lab.Daemon
	dir     string // of the daemons' cache and log
	config  string // of the clusters
	pushes  int
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, members: map[string]*badmember.Server{}, clients: map[string]dynamic.Interface{},
		repo: sourcetest.New(t), dir: t.TempDir(),
	}
	for i, name := range []string{"asia", "bad", "europe"} {
		token := "token-of-" + name
		if name == "bad" {
			token = canary
		}
		store := objectstore.New(objectstore.Options{Name: name, Seed: uint64(i + 1)})
		w.members[name] = badmember.New(t, store, token)
		client, err := dynamic.NewForConfig(store.Config())
		if err != nil {
			t.Fatal(err)
		}
		w.clients[name] = client
	}
	w.config = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(w.config, []byte(badmember.Kubeconfig(w.members)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log: %.20000s", w.log())
		}
	})
	return w
}

// program is the fedsync under test.
var program string

func TestMain(m *testing.M) {
	os.Exit(lab.WithProgram(func(built string) int {
		program = built
		return m.Run()
	}))
}

// log returns what all daemons of the test have logged.
func (w *world) log() string {
	text, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil {
		w.t.Error(err)
	}
	return string(text)
}

// start runs a daemon until the end of the test, and replaces the running one.
func (w *world) start() {
	w.t.Helper()
	if w.daemon != nil {
		_ = w.daemon.Stop() // how it ended the test has seen
	}
	cmd := exec.Command(program, "run", "--repo", w.repo.Path, "--kubeconfig", w.config, "--listen", "127.0.0.1:0",
		"--instance", "test", "--interval", "1s", "--probe-interval", "200ms", "--probe-timeout", "10s", "--request-timeout", "30s",
		"--log-format", "json", "--log-level", "debug")
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+w.dir)
	daemon, err := lab.StartDaemon(w.t.Context(), filepath.Join(w.dir, "log"), cmd)
	if err != nil {
		w.t.Fatal(err)
	}
	w.daemon = daemon
	w.t.Cleanup(func() { _ = daemon.Stop() })
}

// used returns the most memory that the daemon had so far, in bytes, and the processor time
// that it used; 0 where the system does not report them.
func (w *world) used() (memory int64, processor time.Duration) {
	_, memory, _ = w.daemon.Memory()
	processor, _ = w.daemon.Processor()
	return memory, processor
}

// push changes the value of the app's ConfigMap, and returns it.
func (w *world) push() (value string) {
	w.pushes++
	value = fmt.Sprint(w.pushes)
	w.repo.Push("value "+value, map[string]string{
		"fedsync.yaml": "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: web}\nspec:\n" +
			"  clusters: [{name: asia}, {name: bad}, {name: europe}]\n  apps: [{name: web, path: apps/web}]\n",
		"apps/web/settings.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: default}\ndata: {value: %q}\n", value),
		// Another object each time, so that there is something to delete.
		"apps/web/other.yaml": fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other-%s, namespace: default}\n", value),
		"apps/web/replicas.yaml": `apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web
  namespace: default
  annotations:
    federation.kubernetes.io/replica-set-preferences: '{"rebalance": true, "clusters": {"*": {"weight": 1}}}'
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "example.com/web:1"}]
`,
	})
	return value
}

// live returns an object from a member's store.
func (w *world) live(cluster, group, resource, name string) *unstructured.Unstructured {
	u, err := w.clients[cluster].Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}).
		Namespace("default").Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return &unstructured.Unstructured{Object: map[string]any{}}
	}
	return u
}

func (w *world) replicas(cluster string) int64 {
	n, _, _ := unstructured.NestedInt64(w.live(cluster, "apps", "replicasets", "web").Object, "spec", "replicas")
	return n
}

// reached waits until a value is in the clusters, by default in those that behave.
func (w *world) reached(value string, clusters ...string) {
	w.t.Helper()
	if len(clusters) == 0 {
		clusters = []string{"asia", "europe"}
	}
	w.eventually("value "+value+" is in "+strings.Join(clusters, ", "), func() bool {
		return !slices.ContainsFunc(clusters, func(cluster string) bool {
			got, _, _ := unstructured.NestedString(w.live(cluster, "", "configmaps", "settings").Object, "data", "value")
			return got != value
		})
	})
}

// divided waits until the clusters have so many replicas.
func (w *world) divided(asia, bad, europe int64) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("there are %d, %d and %d replicas", asia, bad, europe), func() bool {
		return w.replicas("asia") == asia && w.replicas("bad") == bad && w.replicas("europe") == europe
	})
}

// pushed returns the median time that a few pushes took until they were in the good
// clusters.
func (w *world) pushed() time.Duration {
	w.t.Helper()
	var took []time.Duration
	for range 5 {
		began := time.Now()
		w.reached(w.push())
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}

// page reads a path of the daemon's page.
func (w *world) page(path string) string {
	body, _ := w.daemon.Get(w.t.Context(), path) // an unreachable page is empty
	return string(body)
}

// facts returns the state of a cluster in the report.
func (w *world) facts(cluster string) (state, class, reason string) {
	var report struct {
		Clusters []struct {
			Name, State, Failure, Error string
		}
	}
	_ = json.Unmarshal([]byte(w.page("/api/v1/report")), &report) // it is empty before the first report
	for _, c := range report.Clusters {
		if c.Name == cluster {
			return c.State, c.Failure, c.Error
		}
	}
	return "", "", ""
}

// misbehaves waits until the report has the misbehaviour.
func (w *world) misbehaves(words string) {
	w.t.Helper()
	w.within(longPatience, "the report says: "+words, func() bool {
		state, class, reason := w.facts("bad")
		return state == "Unknown" && class == "misbehaves" && strings.Contains("misbehaves: "+reason, words)
	})
}

func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	w.within(patience, what, done)
}

func (w *world) within(limit time.Duration, what string, done func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-deadline.C:
			w.t.Fatalf("waited %s until %s; report: %.5000s", limit, what, w.page("/api/v1/report"))
		case <-again.C:
		}
	}
}

// clean fails if a secret of the bad member, or text that fools a terminal, is visible.
func (w *world) clean() {
	w.t.Helper()
	for where, text := range map[string]string{
		"log": w.log(), "report": w.page("/api/v1/report"), "page": w.page("/"), "metrics": w.page("/metrics"), "cluster": w.page("/clusters/bad"),
	} {
		for _, shape := range append(badmember.Shapes(canary), "0123456789abcdef") {
			if i := strings.Index(text, shape); i >= 0 {
				w.t.Errorf("%s holds the token as %q: %.300s", where, shape, text[max(0, i-150):])
			}
		}
		odd := func(r rune) bool {
			return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
		}
		if i := strings.IndexFunc(text, odd); i >= 0 {
			w.t.Errorf("%s fools a terminal: %q", where, text[max(0, i-50):min(len(text), i+50)])
		}
		if i := strings.Index(text, "panic"); i >= 0 && where == "log" {
			w.t.Errorf("it panicked: %.3000s", text[i:])
		}
	}
	for name, m := range w.members {
		if strayed := m.Strayed(); len(strayed) > 0 {
			w.t.Errorf("%s: a request went to another host, or had another token: %.500s", name, strings.Join(strayed, "; "))
		}
	}
}
