package daemon

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestTheLastGoodRevisionIsMaintainedWhateverBecomesOfTheRepository(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	cluster := w.sandbox.Clusters()[0]
	var drifting string
	for i := range 10 {
		drifting += w.settings(fmt.Sprintf("drifting-%d", i), "1") + "---\n"
	}
	d := w.start()
	good := w.repo.Push("good", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": w.settings("a", "1"),
		"apps/web/b.yaml": drifting,
	})
	d.live(good)
	drifted := 0
	maintained := func(t *testing.T, value string) {
		t.Helper()
		// It is another object each time: three changes of one would be a fight.
		drifted++
		name := fmt.Sprintf("drifting-%d", drifted)
		w.update(cluster, "ConfigMap", name, setValue("drift"))
		w.awaitValue(cluster, name, "1")
		w.awaitValue(cluster, "a", value)
	}
	cannotRead := func(r *status.Report) string {
		if r.Source.IsZero() {
			return "it does not say why the repository cannot be read"
		}
		return ""
	}

	t.Run("its branch is deleted", func(t *testing.T) {
		w.repo.Git("update-ref", "-d", "refs/heads/main")
		d.await("the report says so", cannotRead)
		maintained(t, "1")
		w.repo.PushTo("main")
		d.await("it is read again", func(r *status.Report) string { return r.Source.String() })
		d.live(good)
	})
	t.Run("it is gone", func(t *testing.T) {
		if err := os.Rename(w.repo.Path, w.repo.Path+".away"); err != nil {
			t.Fatal(err)
		}
		d.await("the report says so", cannotRead)
		maintained(t, "1")
		if err := os.Rename(w.repo.Path+".away", w.repo.Path); err != nil {
			t.Fatal(err)
		}
		next := w.repo.Push("it is back", map[string]string{"apps/web/a.yaml": w.settings("a", "2")})
		d.live(next)
		maintained(t, "2")
	})
	t.Run("its fedsync.yaml is broken", func(t *testing.T) {
		broken := w.repo.Push("broken", map[string]string{
			"fedsync.yaml":    strings.Replace(w.file("web"), "apps:", "aps:", 1),
			"apps/web/a.yaml": w.settings("a", "3"),
		})
		d.await("the commit is a failure that names the file", func(r *status.Report) string {
			if r.Revision.SHA != broken || r.State != status.Failure {
				return "it is not a failure"
			}
			return hasFinding("E ", "fedsync.yaml", "aps")(r)
		})
		maintained(t, "2")
	})
	t.Run("it is empty", func(t *testing.T) {
		empty := w.repo.Push("empty", map[string]string{
			"fedsync.yaml": sourcetest.Removed, "apps/web/a.yaml": sourcetest.Removed, "apps/web/b.yaml": sourcetest.Removed,
		})
		d.await("the commit is a failure", func(r *status.Report) string {
			if r.Revision.SHA != empty || r.State != status.Failure {
				return "it is not a failure"
			}
			return hasFinding("E ", "fedsync.yaml")(r)
		})
		maintained(t, "2")
		d.live(w.repo.Push("mended", map[string]string{
			"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", "4"), "apps/web/b.yaml": drifting,
		}))
		maintained(t, "4")
	})
}

func TestLargeDeletionsAreHeldUntilTheyAreAllowed(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	d := w.start()
	files := map[string]string{"fedsync.yaml": w.file("web", "other"), "apps/other/o.yaml": w.settings("o", "1") + "---\n" + w.settings("p", "1")}
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		files["apps/web/"+name+".yaml"] = w.settings(name, "1")
	}
	d.live(w.repo.Push("first", files))
	everywhere := func(want string, names ...string) {
		t.Helper()
		for _, cluster := range w.sandbox.Clusters() {
			for _, name := range names {
				w.awaitValue(cluster, name, want)
			}
		}
	}
	held := func(sha string, words ...string) {
		t.Helper()
		d.await("the deletion is held", func(r *status.Report) string {
			for _, c := range r.Clusters {
				if !c.Current || c.Applied.SHA != sha {
					return c.Name + " is not current"
				}
			}
			return hasFinding(append(words, "E held", "fedsync.dev/prune: Allowed")...)(r)
		})
	}
	allowed := func(file string) string {
		return strings.Replace(file, "metadata: {name: "+w.name+"}", "metadata: {name: "+w.name+", annotations: {fedsync.dev/prune: Allowed}}", 1)
	}

	removal := map[string]string{}
	for _, name := range names[1:] {
		removal["apps/web/"+name+".yaml"] = sourcetest.Removed
	}
	held(w.repo.Push("too much", removal), "4 of 5 objects")
	everywhere("1", names...)
	d.live(w.repo.Push("allowed", map[string]string{"fedsync.yaml": allowed(w.file("web", "other"))}))
	everywhere("-", names[1:]...)
	everywhere("1", "a", "o")

	held(w.repo.Push("an app leaves", map[string]string{"fedsync.yaml": w.file("web")}), "2 of 2 objects of app other")
	everywhere("1", "a", "o", "p")
	d.live(w.repo.Push("and may", map[string]string{"fedsync.yaml": allowed(w.file("web"))}))
	everywhere("-", "o", "p")
	everywhere("1", "a")
	for object := range w.versions() {
		if strings.Contains(object, "fedsync-system") && strings.HasSuffix(object, "-other") {
			t.Errorf("%s is left, want the inventory gone with its app", object)
		}
	}
}

func TestAClusterThatLeavesStaysAsItIsAndCatchesUpWhenItJoins(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	clusters := w.sandbox.Clusters()
	d := w.start()
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": w.settings("a", "1"),
		"apps/web/b.yaml": w.settings("b", "1"),
		"apps/web/c.yaml": w.settings("c", "1"),
	}))
	report := d.live(w.repo.Push("one leaves", map[string]string{
		"fedsync.yaml":    w.fileOf(clusters[:2], "web"),
		"apps/web/a.yaml": w.settings("a", "2"),
		"apps/web/b.yaml": sourcetest.Removed,
	}))
	if len(report.Clusters) != 2 {
		t.Errorf("the report has %d clusters, want 2", len(report.Clusters))
	}
	w.awaitValue(clusters[0], "b", "-")
	if a, b := w.value(clusters[2], "a"), w.value(clusters[2], "b"); a != "1" || b != "1" {
		t.Errorf("in the cluster that left a = %q, b = %q; want both 1", a, b)
	}
	d.live(w.repo.Push("it joins", map[string]string{"fedsync.yaml": w.file("web")}))
	w.awaitValue(clusters[2], "a", "2")
	w.awaitValue(clusters[2], "b", "-")
	w.awaitValue(clusters[2], "c", "1")
}
