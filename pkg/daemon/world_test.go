package daemon

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/identity"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

const testVersion = "v0.0.1-test"

// patience is how long a test waits for what should take a second: the machine may be busy
// with other tests.
const patience = 45 * time.Second

// world is the environment of one test: a federation, its repository, a namespace in every
// cluster and the settings of a daemon.
type world struct {
	t         *testing.T
	sandbox   *lab.Sandbox
	repo      *sourcetest.Repo
	cfg       *config.Config
	namespace string
	name      string // of the federation
	nodePort  int
	grace     time.Duration                          // of the diagnosis; zero means the default
	front     *lab.Front                             // proxies between the daemons and the clusters; nil for none
	direct    func(cluster string) dynamic.Interface // a client of a cluster that is in no sandbox; nil for none
	change    func(*Daemon)                          // of each daemon before it runs; nil for none
	logs      *lockedBuffer                          // receives what the daemons log, at every level; nil for none
	watch     func(*loop)                            // gets each daemon's loop before it runs; nil for none
}

func newWorld(t *testing.T, s *lab.Sandbox) *world {
	t.Helper()
	w := &world{t: t, sandbox: s, repo: sourcetest.New(t), namespace: s.Namespace(t)}
	w.name = "f" + w.namespace[strings.LastIndex(w.namespace, "-")+1:]
	w.nodePort = s.FreeNodePorts(t, 1)
	w.cfg = config.New()
	w.cfg.Repository = w.repo.Path
	w.cfg.Kubeconfig = s.Kubeconfig()
	w.cfg.Instance = "first"
	w.cfg.Listen = "127.0.0.1:0"
	w.cfg.Interval = time.Second
	// Intervals are short and timeouts long, because the machine may be busy.
	w.cfg.ProbeInterval = 200 * time.Millisecond
	w.cfg.ProbeTimeout = 10 * time.Second
	w.cfg.RequestTimeout = 30 * time.Second
	s.CleanUp(t, w.namespace, inventory.ParentSelector(w.name))
	return w
}

// file returns a fedsync.yaml with all clusters and some apps, each in apps/NAME.
func (w *world) file(apps ...string) string {
	return w.fileOf(w.sandbox.Clusters(), apps...)
}

func (w *world) fileOf(clusters []string, apps ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: fedsync.dev/v1alpha1\nkind: Federation\nmetadata: {name: %s}\nspec:\n  clusters:\n", w.name)
	for _, c := range clusters {
		fmt.Fprintf(&b, "  - {name: %s, labels: {place: %s}}\n", c, c)
	}
	b.WriteString("  apps:\n")
	for _, a := range apps {
		fmt.Fprintf(&b, "  - {name: %[1]s, path: apps/%[1]s}\n", a)
	}
	return b.String()
}

// settings returns a ConfigMap with one value.
func (w *world) settings(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {value: %q}\n", name, w.namespace, value)
}

func (w *world) service() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: web, namespace: %s, labels: {app: web}}
spec:
  type: NodePort
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080, nodePort: %d}
`, w.namespace, w.nodePort)
}

// replicaSet returns a ReplicaSet with a number of replicas in each cluster.
func (w *world) replicaSet(replicas int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web, namespace: %s, annotations: {fedsync.dev/replicas: PerCluster}}
spec:
  replicas: %d
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "example.com/web:1"}]
`, w.namespace, replicas)
}

func (w *world) ingress() string {
	return fmt.Sprintf(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: %[1]s
  annotations:
    kubernetes.io/ingress.class: gce
    kubernetes.io/ingress.global-static-ip-name: %[1]s
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
`, w.namespace)
}

// ran is a running daemon.
type ran struct {
	*Daemon

	t     *testing.T
	stop  func() // ends it and waits; may be called again
	ended chan struct{}
	err   error // of Run, after it has ended
}

// start runs a daemon until the test's end.
func (w *world) start() *ran {
	w.t.Helper()
	return w.startWith(w.cfg)
}

func (w *world) startWith(cfg *config.Config) *ran {
	w.t.Helper()
	d, err := New(cfg, Options{Version: testVersion, Log: w.log().Named(cfg.Instance)})
	if err != nil {
		w.t.Fatalf("make a daemon: %v", err)
	}
	if w.grace > 0 {
		d.grace, d.turnEvery = w.grace, w.grace
	}
	if w.change != nil {
		w.change(d)
	}
	l := newLoop(d, false)
	if w.watch != nil {
		w.watch(l)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	r := &ran{Daemon: d, t: w.t, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = d.runLoop(ctx, l)
	}()
	r.stop = func() {
		cancel()
		select {
		case <-r.ended:
		case <-time.After(patience):
			w.t.Fatal("the daemon does not end")
		}
	}
	w.t.Cleanup(func() {
		r.stop()
		if r.err != nil {
			w.t.Errorf("Run: %v", r.err)
		}
		// State outside the test's own folders, in the user's cache.
		if dir, err := config.CacheDir(); err == nil {
			source, _ := identity.Of(d.source, d.cfg.Revision, "")
			kept, _ := filepath.Glob(filepath.Join(dir, "claim-"+source+"-*"))
			for _, file := range kept {
				_ = os.Remove(file)
			}
		}
		_ = os.Remove(d.outboxFile)
		_ = os.Remove(d.rosterFile)
	})
	return r
}

// log returns a logger that writes to the test's log, which is shown if the test fails.
func (w *world) log() *zap.Logger {
	log := zaptest.NewLogger(w.t, zaptest.Level(zap.InfoLevel))
	if w.logs == nil {
		return log
	}
	kept := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(w.logs), zap.DebugLevel)
	return zap.New(zapcore.NewTee(log.Core(), kept))
}

// lockedBuffer is a buffer that is safe for concurrent use.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await waits until the newest report meets a condition. The condition returns what is
// missing, or "".
func (r *ran) await(what string, question func(*status.Report) string) *status.Report {
	r.t.Helper()
	return r.awaitWithin(patience, what, question)
}

// awaitWithin is await with a time limit.
func (r *ran) awaitWithin(limit time.Duration, what string, question func(*status.Report) string) *status.Report {
	r.t.Helper()
	var report *status.Report
	within(r.t, limit, what, func() string {
		if report = r.reports.Newest(); report == nil {
			return "no report"
		}
		catalogued(r.t, report)
		if missing := question(report); missing != "" {
			return missing + "\nreport: " + describe(report)
		}
		return ""
	})
	return report
}

// catalogued fails the test if a finding is not in the catalogue, or is more severe than
// there. A report may lower a severity.
func catalogued(t *testing.T, report *status.Report) {
	t.Helper()
	const order = string(federation.SeverityError + federation.SeverityWarning + federation.SeverityNote)
	for _, f := range report.Findings {
		known := federation.FindingSeverities(f.ID)
		if len(known) == 0 || strings.Index(order, string(f.Severity)) < strings.Index(order, string(known[0])) {
			t.Fatalf("a finding %s of severity %s is not in the catalogue: %s", f.ID, f.Severity, f)
		}
	}
}

// live waits until a revision is a success.
func (r *ran) live(sha string) *status.Report {
	r.t.Helper()
	return r.await("revision "+sha[:7]+" is live", func(report *status.Report) string {
		if report.Revision.SHA != sha || report.State != status.Success {
			return "it is not a success"
		}
		return ""
	})
}

// eventually polls a condition until nothing is missing.
func eventually(t *testing.T, what string, question func() string) {
	t.Helper()
	within(t, patience, what, question)
}

// within is like eventually, with a time limit.
func within(t *testing.T, patience time.Duration, what string, question func() string) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		missing := question()
		if missing == "" {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("waited %s until %s: %s", patience, what, missing)
		case <-again.C:
		}
	}
}

func describe(r *status.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s; source %q\n", r.Revision, r.State, r.Description, r.Source)
	for _, c := range r.Clusters {
		fmt.Fprintf(&b, "  %s: %s %s applied %s current %t, %s %s\n", c.Name, c.State, c.Error, c.Applied, c.Current, c.Outcome, c.Reason)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  %s %s: %s\n", f.Severity, f.ID, f)
	}
	return b.String()
}

// hasFinding is a condition: there is a finding with all of these words.
func hasFinding(words ...string) func(*status.Report) string {
	return func(r *status.Report) string {
		for _, f := range r.Findings {
			text := fmt.Sprintf("%s %s %s %s %s", f.Severity, f.ID, f.Cluster, f, f.Remedy)
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) }) {
				return ""
			}
		}
		return fmt.Sprintf("no finding with %q", words)
	}
}

func clusterOf(r *status.Report, name string) status.Cluster {
	for _, c := range r.Clusters {
		if c.Name == name {
			return c
		}
	}
	return status.Cluster{}
}

var kinds = map[string]schema.GroupVersionResource{
	"ConfigMap":  {Version: "v1", Resource: "configmaps"},
	"Service":    {Version: "v1", Resource: "services"},
	"ReplicaSet": {Group: "apps", Version: "v1", Resource: "replicasets"},
	"Ingress":    {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
}

// get reads an object in the test's namespace; nil if there is none.
func (w *world) get(cluster, kind, name string) *unstructured.Unstructured {
	w.t.Helper()
	u, err := w.dynamic(cluster).Resource(kinds[kind]).Namespace(w.namespace).Get(w.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.t.Fatalf("get %s %s in %s: %v", kind, name, cluster, err)
	}
	return u
}

// value returns the value of a ConfigMap made by settings; "-" if there is none.
func (w *world) value(cluster, name string) string {
	w.t.Helper()
	u := w.get(cluster, "ConfigMap", name)
	if u == nil {
		return "-"
	}
	value, _, _ := unstructured.NestedString(u.Object, "data", "value")
	return value
}

// awaitValue waits until a ConfigMap has a value, or for "-" until it is gone.
func (w *world) awaitValue(cluster, name, want string) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("ConfigMap %s in %s is %q", name, cluster, want), func() string {
		if got := w.value(cluster, name); got != want {
			return fmt.Sprintf("it is %q", got)
		}
		return ""
	})
}

// versions returns the resourceVersions of everything that the federation has in the
// clusters: its objects and its inventories.
func (w *world) versions() map[string]string {
	w.t.Helper()
	versions := map[string]string{}
	for _, cluster := range w.sandbox.Clusters() {
		client := w.sandbox.Dynamic(w.t, cluster)
		list := func(kind, namespace, selector string) {
			all, err := client.Resource(kinds[kind]).Namespace(namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: selector})
			if err != nil {
				w.t.Fatalf("list in %s: %v", cluster, err)
			}
			for _, u := range all.Items {
				versions[strings.Join([]string{cluster, kind, namespace, u.GetName()}, "/")] = u.GetResourceVersion()
			}
		}
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			list(kind, w.namespace, inventory.LabelPartOf)
		}
		list("ConfigMap", federation.SystemNamespace, inventory.ParentSelector(w.name))
	}
	return versions
}

// update changes an object as another client would.
func (w *world) update(cluster, kind, name string, change func(*unstructured.Unstructured)) {
	w.t.Helper()
	objects := w.dynamic(cluster).Resource(kinds[kind]).Namespace(w.namespace)
	eventually(w.t, "an update is taken", func() string {
		u := w.get(cluster, kind, name)
		if u == nil {
			w.t.Fatalf("no %s %s in %s", kind, name, cluster)
		}
		change(u)
		_, err := objects.Update(w.t.Context(), u, metav1.UpdateOptions{FieldManager: "somebody"})
		if err != nil && !apierrors.IsConflict(err) {
			w.t.Fatalf("update %s %s in %s: %v", kind, name, cluster, err)
		}
		if err != nil {
			return err.Error()
		}
		return ""
	})
}

// changesOf returns a cluster's changes in the report, as words.
func changesOf(c status.Cluster) []string {
	words := []string{}
	for _, change := range c.Changes {
		words = append(words, fmt.Sprintf("%s %s/%s", change.Action, change.Object.Kind, change.Object.Name))
	}
	slices.Sort(words)
	return words
}

// tempFile returns a path in a folder of the test's own.
func tempFile(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(t.TempDir(), name)
}
