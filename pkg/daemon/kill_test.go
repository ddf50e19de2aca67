package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/apply/inventory"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

// TestADaemonKilledAtAnyMomentConverges kills the daemon while pushes add, change, remove
// and move objects between apps. Whatever the daemon was doing, the next one makes the
// clusters equal to the last commit.
func TestADaemonKilledAtAnyMomentConverges(t *testing.T) {
	const kills = 50
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	w := newWorld(t, lab.Shared(t))
	w.cfg.Instance = "" // the name of a killed process is free again

	// A whole app may be deleted at once here: that guard is not tested.
	federationFile := w.file("one", "two") + "  - {name: three, path: apps/three, pruneLimit: 100%}\n"
	federationFile = string(bytes.ReplaceAll([]byte(federationFile), []byte(", path: apps/one}"), []byte(", path: apps/one, pruneLimit: 100%}")))
	federationFile = string(bytes.ReplaceAll([]byte(federationFile), []byte(", path: apps/two}"), []byte(", path: apps/two, pruneLimit: 100%}")))
	files := map[string]string{"fedsync.yaml": federationFile}
	for _, app := range []string{"one", "two", "three"} {
		files["apps/"+app+"/keep.yaml"] = w.settings("keep-"+app, "0")
	}
	w.repo.Push("start", files)

	want := map[string]string{} // the objects of the last commit, by name
	var at map[string]string    // files by object
	for round := range kills {
		child := startChild(t, w.cfg)
		pause := func() {
			select {
			case <-child.Ended:
				t.Fatalf("the daemon ended by itself: %s", child.LastWords())
			case <-time.After(time.Duration(random.Int64N(int64(400 * time.Millisecond)))):
			}
		}
		pause()
		var push map[string]string
		push, at, want = w.randomPush(random, round, at)
		w.repo.Push(fmt.Sprintf("round %d", round), push)
		pause()
		child.Kill()
	}

	d := w.start()
	d.live(w.repo.Head())
	for _, app := range []string{"one", "two", "three"} {
		want["keep-"+app] = app + " 0"
	}
	for _, cluster := range w.sandbox.Clusters() {
		if diff := cmp.Diff(want, w.owned(cluster)); diff != "" {
			t.Errorf("seed %d: objects in %s (-want +got):\n%s", seed, cluster, diff)
		}
	}
}

// randomPush returns the files of a commit, made from those of the previous one: each of
// eight objects is in one of three apps or in none.
func (w *world) randomPush(random *rand.Rand, round int, before map[string]string) (push, files, want map[string]string) {
	push, files, want = map[string]string{}, map[string]string{}, map[string]string{}
	for n := range 8 {
		name := fmt.Sprintf("object-%d", n)
		app := []string{"one", "two", "three", ""}[random.IntN(4)]
		if app == "" {
			continue
		}
		value := fmt.Sprint(round)
		if random.IntN(3) == 0 {
			value = "the same in all rounds"
		}
		path := "apps/" + app + "/" + name + ".yaml"
		push[path], files[path] = w.settings(name, value), name
		want[name] = app + " " + value
	}
	for path := range before {
		if files[path] == "" {
			push[path] = sourcetest.Removed
		}
	}
	return push, files, want
}

// owned returns the app and the value of every ConfigMap in the test's namespace.
func (w *world) owned(cluster string) map[string]string {
	w.t.Helper()
	all, err := w.sandbox.Dynamic(w.t, cluster).Resource(kinds["ConfigMap"]).Namespace(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	apps := map[string]string{}
	for _, app := range []string{"one", "two", "three"} {
		apps[inventory.PartOf(w.name, app)] = app
	}
	owned := map[string]string{}
	for _, u := range all.Items {
		if u.GetName() == "kube-root-ca.crt" {
			continue // the cluster creates it in every namespace
		}
		value, _, _ := unstructured.NestedString(u.Object, "data", "value")
		owned[u.GetName()] = apps[u.GetLabels()[inventory.LabelPartOf]] + " " + value
	}
	return owned
}

// startChild runs a daemon in a process of its own.
func startChild(t *testing.T, cfg *config.Config) *lab.Daemon {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	settings, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), childConfig+"="+string(settings))
	d, err := lab.StartDaemon(t.Context(), tempFile(t, "log"), child)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Kill)
	return d
}
