package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
)

// The tests of outages share one sandbox, one after the other.
func TestAnOutageOfOneClusterCostsTheOthersNothing(t *testing.T) {
	s := lab.Own(t, 3)
	t.Run("it hangs", func(t *testing.T) {
		outage(t, s, s.Pause, s.Resume)
	})
	t.Run("it refuses", func(t *testing.T) {
		outage(t, s, s.Kill, s.Start)
	})
}

// outage takes a cluster away and brings it back. In between there are pushes, and
// a restart of the daemon.
func outage(t *testing.T, s *lab.Sandbox, away, back func(testing.TB, string)) {
	w := newWorld(t, s)
	w.cfg.ProbeTimeout = 2 * time.Second
	w.cfg.RequestTimeout = 5 * time.Second
	lost, others := s.Clusters()[1], []string{s.Clusters()[0], s.Clusters()[2]}
	d := w.start()
	d.live(w.repo.Push("first", map[string]string{
		"fedsync.yaml":    w.file("web"),
		"apps/web/a.yaml": w.settings("a", "1"),
		"apps/web/b.yaml": w.settings("b", "1"),
		"apps/web/c.yaml": w.settings("c", "1"),
	}))

	away(t, lost)
	isBack := false
	defer func() {
		if !isBack {
			back(t, lost) // for the clean-up
		}
	}()
	second := w.repo.Push("second", map[string]string{"apps/web/a.yaml": w.settings("a", "2")})
	started := time.Now()
	for _, cluster := range others {
		w.awaitValue(cluster, "a", "2")
	}
	if took := time.Since(started); took > 4*time.Second {
		t.Errorf("the others had the push after %s, want it sooner than any timeout", took)
	}
	pendingFor := func(sha string) {
		d.await("the report names "+lost, func(r *status.Report) string {
			c := clusterOf(r, lost)
			switch {
			case r.Revision.SHA != sha || c.State != federation.ClusterOffline:
				return "the cluster is " + string(c.State)
			case r.State != status.Pending || !strings.Contains(r.Description.String(), lost):
				return "it is not pending for the cluster"
			}
			for _, name := range others {
				if !clusterOf(r, name).Current {
					return name + " is not current"
				}
			}
			return ""
		})
	}
	pendingFor(second)

	// A restart during the outage: the other clusters are synced, and are pruned as soon as
	// it is known that the one is away and not merely slow.
	stopping := time.Now()
	d.stop()
	if took := time.Since(stopping); took > 4*time.Second {
		t.Errorf("the daemon ended after %s, want it sooner than any timeout", took)
	}
	third := w.repo.Push("third", map[string]string{
		"apps/web/a.yaml": w.settings("a", "3"),
		"apps/web/b.yaml": sourcetest.Removed,
	})
	d = w.start()
	for _, cluster := range others {
		w.awaitValue(cluster, "a", "3")
	}
	pendingFor(third)
	for _, cluster := range others {
		w.awaitValue(cluster, "b", "-")
	}

	back(t, lost)
	isBack = true
	if got := w.value(lost, "c"); got != "1" {
		t.Errorf("c in %s = %q after its return, want it unchanged at 1", lost, got)
	}
	returned := time.Now()
	report := d.live(third)
	t.Logf("caught up %s after its return", time.Since(returned))
	if c := clusterOf(report, lost); c.State != federation.ClusterReady {
		t.Errorf("%s is %s, want Ready", lost, c.State)
	}
	w.awaitValue(lost, "a", "3")
	w.awaitValue(lost, "b", "-")
}
