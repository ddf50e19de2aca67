package daemon

import (
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/sandboxtest"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestAHealthyFederationHasNoFinding(t *testing.T) {
	s := sandboxtest.Shared(t)
	w := newWorld(t, s)
	w.grace = time.Second
	d := w.start()
	sha := w.repo.Push("web", map[string]string{
		"fedsync.yaml":          w.file("web"),
		"apps/web/ingress.yaml": w.ingress(),
		"apps/web/service.yaml": w.service(),
		"apps/web/web.yaml":     w.shared(6, true),
	})
	for _, when := range []string{"at first", "after a restart"} {
		silent(t, d, sha, when)
		d.stop()
		d = w.start()
	}
}

// silent waits for a success, and looks for three graces whether anything is said.
func silent(t *testing.T, d *ran, sha, when string) {
	t.Helper()
	d.live(sha)
	enough, again := time.After(3*time.Second), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for {
		r := d.reports.newest()
		if r.State != status.Success || len(r.Findings) > 0 {
			t.Fatalf("%s: a healthy federation is reported as: %s", when, describe(r))
		}
		select {
		case <-enough:
			return
		case <-again.C:
		}
	}
}
