package daemon

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status"
)

func TestAPushGoesLiveAndTheNextChangesOnlyWhatChanged(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	d := w.start()
	first := w.repo.Push("first", map[string]string{
		"fedsync.yaml":         w.file("web"),
		"apps/web/all.yaml":    w.service() + "---\n" + w.replicaSet(2) + "---\n" + w.ingress(),
		"apps/web/config.yaml": w.settings("config", "one"),
	})
	report := d.live(first)
	if len(report.Addresses) != 1 || len(report.Addresses[0].Clusters) != len(w.sandbox.Clusters()) {
		t.Errorf("addresses = %+v, want one that all clusters report", report.Addresses)
	}
	for _, c := range report.Clusters {
		if c.Ready != 2 || c.Desired != 2 || !c.Current || c.Applied.SHA != first {
			t.Errorf("cluster %s: %d/%d ready, current %t at %s; want 2/2, current at %s", c.Name, c.Ready, c.Desired, c.Current, c.Applied, first)
		}
	}

	before := w.versions()
	second := w.repo.Push("second", map[string]string{"apps/web/config.yaml": w.settings("config", "two")})
	report = d.live(second)
	for _, c := range report.Clusters {
		if diff := cmp.Diff([]string{"configured ConfigMap/config"}, changesOf(c)); diff != "" {
			t.Errorf("changes in %s (-want +got):\n%s", c.Name, diff)
		}
		w.awaitValue(c.Name, "config", "two")
	}
	for object, version := range w.versions() {
		// Other controllers write the status of a ReplicaSet or an Ingress.
		ours := strings.Contains(object, "/Service/") || strings.Contains(object, "/ConfigMap/fedsync-system/")
		if ours && version != before[object] {
			t.Errorf("%s was written, want it left alone", object)
		}
	}

	// The API reports the same, at the chosen address.
	response, err := http.Get(d.publicURL() + "/api/v1/report")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	var told status.Report
	if err := json.Unmarshal(body, &told); err != nil {
		t.Fatalf("GET /api/v1/report: %v: %s", err, body)
	}
	if told.Revision.SHA != second || told.State != status.Success {
		t.Errorf("GET /api/v1/report: %s %s, want %s a success", told.Revision, told.State, second)
	}
}

// The first daemon is killed as by a power failure.
func TestARestartWithNothingChangedWritesNothing(t *testing.T) {
	w := faultyWorld(t)
	w.cfg.Instance = ""                                       // the default name, which a restart finds again
	w.change = func(d *Daemon) { d.turnEvery = 2 * patience } // reports must not depend on the timer
	sha := w.repo.Push("first", map[string]string{
		"fedsync.yaml":       w.file("web", "more"),
		"apps/web/all.yaml":  w.service() + "---\n" + w.replicaSet(1) + "---\n" + w.ingress(),
		"apps/more/all.yaml": w.settings("a", "1") + "---\n" + w.settings("b", "2"),
	})
	killed := startChild(t, w.cfg)
	eventually(t, "the first daemon has made it live", func() string {
		report, err := killed.Report(t.Context())
		if err != nil {
			return err.Error()
		}
		return is(sha, status.Success)(report)
	})
	killed.Kill()
	if len(w.front.Requests().Writes()) == 0 {
		t.Fatal("the proxies saw no write at the first start, want those of the sync")
	}
	before := w.versions()

	for range 2 {
		w.front.ClearRequests()
		d := w.start()
		d.live(sha)
		d.during(2*time.Second, "it stays so", is(sha, status.Success))
		d.stop()
		requests := w.front.Requests()
		// There are six; other tests may add definitions, whose discovery takes more.
		if reads := requests.Verbs("get", "list").Besides("/readyz"); len(reads) > 10*len(w.front.Clusters()) {
			t.Errorf("requests that read after a restart: %v, want 10 for each cluster at most", reads.Count())
		}
		if writes := requests.Writes(); len(writes) > 0 {
			t.Errorf("requests that write after a restart: %v, want none", writes)
		}
		if diff := cmp.Diff(before, w.versions()); diff != "" {
			t.Errorf("resourceVersions after a restart (-want +got):\n%s", diff)
		}
	}
}
