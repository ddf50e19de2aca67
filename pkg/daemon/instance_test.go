package daemon

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestOfTwoInstancesTheOlderStopsWritingAndSaysSo(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	first := w.repo.Push("first", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/all.yaml": w.settings("a", "1"),
	})
	older := *w.cfg
	older.Kubeconfig = w.kubeconfig(nil)
	d1 := w.startWith(&older)
	d1.live(first)

	newer := *w.cfg
	newer.Instance = "second"
	d2 := w.startWith(&newer)
	d2.live(first)
	for _, cluster := range w.sandbox.Clusters() {
		d1.await("the older says that it is fenced", hasFinding("E fenced "+cluster, "instance second,", "stop one of the two"))
	}

	second := w.repo.Push("second", map[string]string{"apps/web/all.yaml": w.settings("a", "2")})
	d2.live(second)

	// A new connection is no reason to take the clusters back.
	w.changeKubeconfig(older.Kubeconfig, func(config *clientcmdapi.Config) {
		for _, c := range config.Clusters {
			c.DisableCompression = true // another connection to the same cluster
		}
	})
	third := w.repo.Push("third", map[string]string{"apps/web/all.yaml": w.settings("a", "3")})
	d2.live(third)
	d1.await("the older sees the push and cannot make it live", func(r *status.Report) string {
		if r.Revision.SHA != third || r.State != status.Failure {
			return "it is not a failure"
		}
		return hasFinding("fenced")(r)
	})
	before := w.versions()
	w.update(w.sandbox.Clusters()[0], "ConfigMap", "a", setValue("drift"))
	w.awaitValue(w.sandbox.Clusters()[0], "a", "3") // only the newer repairs it
	d1.stop()
	d2.live(third)
	for _, cluster := range w.sandbox.Clusters() {
		w.awaitValue(cluster, "a", "3")
		if got, want := w.writer(cluster, "web"), d2.claims.Token().String(); got != want {
			t.Errorf("the writer in %s is %q, want %q", cluster, got, want)
		}
	}
	after := w.versions()
	delete(before, w.sandbox.Clusters()[0]+"/ConfigMap/"+w.namespace+"/a")
	delete(after, w.sandbox.Clusters()[0]+"/ConfigMap/"+w.namespace+"/a")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("resourceVersions (-want +got):\n%s", diff)
	}
}

func TestAnotherRepositoryWithTheSameNamesIsRefused(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	files := map[string]string{"fedsync.yaml": w.file("web"), "apps/web/all.yaml": w.settings("a", "1")}
	d := w.start()
	mine := w.repo.Push("mine", files)
	d.live(mine)
	before := w.versions()

	t.Run("of the same federation", func(t *testing.T) {
		other := *w
		other.t, other.repo = t, sourcetest.New(t)
		cfg := *w.cfg
		cfg.Repository, cfg.Instance = other.repo.Path, "other"
		other.repo.Push("other", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/all.yaml": w.settings("a", "other")})
		o := other.startWith(&cfg)
		for _, cluster := range w.sandbox.Clusters() {
			o.await("the other is refused", func(r *status.Report) string {
				if r.State != status.Failure {
					return "it is not a failure"
				}
				return hasFinding("E owned", cluster, "another source", "fedsync takeover")(r)
			})
		}
		o.stop()
	})
	t.Run("of another federation", func(t *testing.T) {
		other := *w
		other.t, other.repo, other.name = t, sourcetest.New(t), w.name+"x"
		other.sandbox.CleanUp(t, other.namespace, inventory.ParentSelector(other.name))
		cfg := *w.cfg
		cfg.Repository, cfg.Instance = other.repo.Path, "other"
		other.repo.Push("other", map[string]string{"fedsync.yaml": other.file("web"), "apps/web/all.yaml": w.settings("a", "other")})
		o := other.startWith(&cfg)
		for _, cluster := range w.sandbox.Clusters() {
			o.await("the other is refused", func(r *status.Report) string {
				if r.State != status.Failure {
					return "it is not a failure"
				}
				return hasFinding("E owned", cluster, "ConfigMap/"+w.namespace+"/a")(r)
			})
		}
		o.stop()
	})
	d.live(mine)
	if diff := cmp.Diff(before, w.versions()); diff != "" {
		t.Errorf("resourceVersions (-want +got):\n%s", diff)
	}
}

// Kubeconfig writes the test's own kubeconfig, with changes.
func (w *world) kubeconfig(change func(*clientcmdapi.Config)) string {
	w.t.Helper()
	path := tempFile(w.t, "kubeconfig")
	config, err := clientcmd.LoadFromFile(w.sandbox.Kubeconfig())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		w.changeKubeconfig(path, change)
	}
	return path
}

// changeKubeconfig replaces a kubeconfig by renaming, so that no reader sees half of it.
func (w *world) changeKubeconfig(path string, change func(*clientcmdapi.Config)) {
	w.t.Helper()
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	change(config)
	if err := clientcmd.WriteToFile(*config, path+".new"); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		w.t.Fatal(err)
	}
}

// writer returns the instance that an inventory names.
func (w *world) writer(cluster, app string) string {
	w.t.Helper()
	parent, err := w.sandbox.Client(w.t, cluster).CoreV1().ConfigMaps(federation.SystemNamespace).
		Get(w.t.Context(), inventory.ParentName(w.name, app), metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return parent.Annotations["fedsync.dev/instance"]
}
