package daemon

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/internal/lab/faults"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

// movedWithin limits the time until the replicas of a lost cluster run elsewhere: about
// twelve seconds with the default settings, and more on a busy machine.
const movedWithin = 30 * time.Second

// A webhook that hangs delays the objects that it judges, but neither the replicas that
// the cluster takes over nor the push that fixes it.
func TestAWebhookThatHangsHoldsUpNoFailover(t *testing.T) {
	w := failoverFaults(t)
	all := w.sandbox.Clusters()
	hung, lost := w.proxy(0), w.proxy(1)
	d := w.start()
	d.live(w.repo.Push("web", map[string]string{
		"fedsync.yaml":         strings.Replace(w.file("web", "settings"), "apps/settings}", "apps/settings, pruneLimit: 100%}", 1),
		"apps/web/web.yaml":    w.shared(6, true),
		"apps/settings/a.yaml": w.settings("a", "1"),
	}))
	w.awaitReplicas(all, 2, 2, 2)

	rule := hung.Add(w.writesTo("", faults.Rule{Action: faults.Hang}))
	second := w.repo.Push("many", map[string]string{"apps/settings/many.yaml": w.many(60, "1")})
	rule.Await(1)
	cut := lost.Cut()
	moved := w.moved(all[0], all[2])
	t.Logf("moved %s after the outage began, while 60 ConfigMaps hang", moved)
	if n := len(hung.Requests().Of("configmaps").Writes().Where(func(r faults.Request) bool { return !r.Ended })); n > 16 {
		t.Errorf("%d requests hang at a time", n)
	}
	d.await("the revision says what hangs", func(r *status.Report) string {
		if missing := is(second, status.Failure, status.Pending)(r); missing != "" {
			return missing
		}
		return hasFinding(all[0], "ConfigMap/"+w.namespace+"/many-")(r)
	})

	// The push that removes them again, and adds another object, is not delayed.
	mended := time.Now()
	third := w.repo.Push("mended", map[string]string{
		"apps/settings/many.yaml": sourcetest.Removed,
		"apps/web/service.yaml":   w.service(),
	})
	within(t, movedWithin, "the mending push is in the cluster whose webhook hangs", func() string {
		r := d.reports.Newest()
		if w.get(all[0], "Service", "web") == nil || r.Revision.SHA != third || !clusterOf(r, all[0]).Current {
			return describe(r)
		}
		return ""
	})
	t.Logf("fixed %s after the push", time.Since(mended))
	rule.Remove()
	cut.Remove()
	d.live(third)
	for _, name := range all {
		w.awaitValue(name, "many-59", "-") // a write that hung and came late is pruned
	}
}

// Replicas move, and reports continue, while a revision is being rendered.
func TestReplicasMoveWhileAPushIsRendered(t *testing.T) {
	w := failoverFaults(t)
	all := w.sandbox.Clusters()
	lost := w.proxy(1)
	release := make(chan struct{})
	w.change = func(d *Daemon) {
		render := d.render
		d.render = func(ctx context.Context, s federation.Snapshot, f *federation.Federation, ready func(federation.Cluster, []federation.Bundle), sofar func([]federation.Bundle, []federation.Finding)) ([]federation.Bundle, []federation.Finding) {
			if _, err := s.Files.Open("slow"); err == nil {
				<-release // it ignores the end of its context, as kustomize does
			}
			return render(ctx, s, f, ready, sofar)
		}
	}
	d := w.start()
	d.live(w.repo.Push("web", map[string]string{
		"fedsync.yaml":      w.file("web"),
		"apps/web/web.yaml": w.shared(6, true),
	}))
	second := w.repo.Push("heavy", map[string]string{"slow": "very", "apps/web/a.yaml": w.settings("a", "1")})
	d.await("the push is being rendered", func(r *status.Report) string {
		if r.Revision.SHA != second || !strings.Contains(r.Description.String(), "synced, rendering") {
			return "it is not"
		}
		return ""
	})
	cut := lost.Cut()
	t.Logf("moved %s after the outage began, while a push is rendered", w.moved(all[0], all[2]))
	d.await("the report is of now", func(r *status.Report) string {
		if c := clusterOf(r, lost.Cluster()); c.State != federation.ClusterOffline || time.Since(r.Time) > 2*turnInterval {
			return fmt.Sprintf("%s is %s, the report is %s old", lost.Cluster(), c.State, time.Since(r.Time))
		}
		return ""
	})
	cut.Remove()
	w.awaitReplicas(all, 2, 2, 2)
	close(release)
	d.live(second)
}

// failoverFaults is faultyWorld with the default intervals and timeouts.
func failoverFaults(t *testing.T) *world {
	t.Helper()
	w := failoverWorld(t, lab.Shared(t))
	w.front = w.sandbox.Faults(t)
	w.cfg.Kubeconfig = w.front.Kubeconfig()
	return w
}

// moved waits until two clusters have the replicas of three, and returns how long that
// took.
func (w *world) moved(clusters ...string) time.Duration {
	w.t.Helper()
	began := time.Now()
	within(w.t, movedWithin, "the replicas have moved", func() string {
		if got := w.replicas(clusters...); got[0] != 3 || got[1] != 3 {
			return fmt.Sprintf("%v have %v", clusters, got)
		}
		return ""
	})
	return time.Since(began)
}
