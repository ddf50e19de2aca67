package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

// A control plane that starts from a backup has the state of that time. What a daemon knows
// from later is then wrong, including its inventories and its claim: a revision is a success
// only when all of it exists again.
func TestAClusterThatIsRestoredIsMadeEqualToGitAgain(t *testing.T) {
	w := faultyWorld(t)
	proxy := w.proxy(1)
	name := proxy.Cluster()
	empty := w.front.Backup()
	d := w.start()
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/web.yaml": w.replicaSet(1),
		"apps/web/one.yaml": w.settings("one", "1"),
		"apps/web/old.yaml": w.settings("old", "1"),
	}))
	backup := w.front.Backup()
	second := w.repo.Push("second", map[string]string{
		"apps/web/one.yaml": w.settings("one", "2"),
		"apps/web/two.yaml": w.settings("two", "2"),
		"apps/web/old.yaml": sourcetest.Removed,
	})
	d.live(second)
	w.awaitValue(name, "old", "-")
	proxy.Advance(300) // so that what is restored has lower resourceVersions

	t.Run("to before the last push, and nobody pushes", func(t *testing.T) {
		w.heldBack(t, d, proxy, func() string { proxy.Restore(backup); return second })
		w.awaitValue(name, "old", "-") // the backup had it
		w.has(t, name, "2")
	})
	t.Run("to before the first push, and somebody pushes", func(t *testing.T) {
		w.heldBack(t, d, proxy, func() string {
			proxy.Restore(empty)
			return w.repo.Push("third", map[string]string{"apps/web/one.yaml": w.settings("one", "3")})
		})
		w.has(t, name, "3")
	})
	t.Run("what leaves Git then leaves the cluster", func(t *testing.T) {
		d.t = t
		d.live(w.repo.Push("fourth", map[string]string{"apps/web/two.yaml": sourcetest.Removed}))
		w.awaitValue(name, "two", "-")
	})
}

// A control plane that is built from nothing behind an old address is another cluster, and
// is reported as such.
func TestAClusterThatIsRebuiltBehindItsAddressIsFilledAgain(t *testing.T) {
	w := faultyWorld(t)
	proxy := w.proxy(1)
	name := proxy.Cluster()
	d := w.start()
	first := w.repo.Push("first", map[string]string{
		"fedsync.yaml":      w.file("web") + "  createNamespaces: true\n",
		"apps/web/web.yaml": w.replicaSet(1),
		"apps/web/one.yaml": w.settings("one", "1"),
		"apps/web/two.yaml": w.settings("two", "1"),
	})
	d.live(first)
	w.heldBack(t, d, proxy, func() string { proxy.Rebuild(); return first })
	w.has(t, name, "1")
	d.live(w.repo.Push("second", map[string]string{
		"apps/web/one.yaml": w.settings("one", "2"),
		"apps/web/two.yaml": sourcetest.Removed,
	}))
	w.awaitValue(name, "two", "-")
	w.awaitValue(name, "one", "2")
}

// heldBack changes a cluster while it refuses the ConfigMap two. It checks that the
// revision is not a success for that reason, ends the refusal and waits for the success.
func (w *world) heldBack(t *testing.T, d *ran, proxy *lab.Proxy, change func() (sha string)) {
	t.Helper()
	d.t = t
	denied := proxy.Add(w.writesTo("two", denial()))
	sha := change()
	d.await("the cluster is known to lack what it refuses", allOf(is(sha, status.Failure), hasFinding("E", proxy.Cluster(), "ConfigMap/"+w.namespace+"/two", "not here")))
	d.during(2*time.Second, "it is no success while an object is missing", is(sha, status.Failure, status.Pending))
	denied.Remove()
	d.live(sha)
}

// has checks that a cluster has the objects of the revision, their inventory and the claim.
func (w *world) has(t *testing.T, cluster, one string) {
	t.Helper()
	if got := w.value(cluster, "one"); got != one {
		t.Errorf("one in %s is %q, want %q", cluster, got, one)
	}
	if w.get(cluster, "ConfigMap", "two") == nil || w.get(cluster, "ReplicaSet", "web") == nil {
		t.Errorf("%s lacks two or web", cluster)
	}
	if kinds := w.inventory(cluster, "web"); !strings.Contains(kinds, "ConfigMap") || !strings.Contains(kinds, "ReplicaSet.apps") {
		t.Errorf("the inventory in %s lists %q, want ConfigMap and ReplicaSet.apps", cluster, kinds)
	}
	if got, want := w.claimOf(cluster), w.claimOf(w.sandbox.Clusters()[0]); got == "" || got != want {
		t.Errorf("the claim in %s is held by %q, in the other clusters by %q", cluster, got, want)
	}
}
