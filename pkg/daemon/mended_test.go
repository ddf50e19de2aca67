package daemon

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status"
)

// On a forge, a commit that fixes another never gets that one's failure. 150 ConfigMaps in
// a kustomization make rendering slow enough to be observed.
func TestAForgeNeverSeesTheFailureBeforeOnACommitThatMendsIt(t *testing.T) {
	s := lab.Shared(t)
	w := newWorld(t, s)
	forge := s.Forge(t).NewRepository(t)
	t.Cleanup(http.DefaultClient.CloseIdleConnections) // those of lab.Forge
	w.cfg.Repository, w.cfg.Revision, w.cfg.Interval = forge.CloneURL, "main", 200*time.Millisecond
	w.cfg.CommitStatus, w.cfg.ForgeRepository = "gitea", forge.Owner+"/"+forge.Repository
	w.cfg.Username, w.cfg.TokenFile = forge.Owner, writeFile(t, "token", forge.Token)
	push := func(message string, files map[string]string) string {
		t.Helper()
		sha := w.repo.Commit(message, files)
		w.repo.InWork("push", "--quiet", forge.PushURL(), "HEAD:refs/heads/main")
		return sha
	}
	var many strings.Builder
	for i := range 150 {
		many.WriteString("---\n" + w.settings(fmt.Sprintf("many-%d", i), "1"))
	}
	first := push("first", map[string]string{
		"fedsync.yaml":                 w.file("web", "many"),
		"apps/web/web.yaml":            w.service(),
		"apps/web/settings.yaml":       w.settings("a", "1"),
		"apps/many/kustomization.yaml": "resources: [all.yaml, round.yaml]\nlabels: [{pairs: {of: many}}]\n",
		"apps/many/round.yaml":         w.settings("round", "0"),
		"apps/many/all.yaml":           many.String(),
	})
	d := w.start()
	d.live(first)
	cases := []struct{ what, file, bad, good string }{
		{"a file is not YAML", "apps/web/settings.yaml", "kind: [\n", w.settings("a", "2")},
		{"a node port is outside of the range", "apps/web/web.yaml", strings.Replace(w.service(), fmt.Sprintf("nodePort: %d", w.nodePort), "nodePort: 80", 1), w.service()},
		{"the API servers refuse the Service", "apps/web/web.yaml", strings.Replace(w.service(), "targetPort: 8080", "targetPort: -1", 1), w.service()},
	}
	for i, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			d.t = t
			bad := push("bad", map[string]string{
				c.file: c.bad, "apps/many/round.yaml": w.settings("round", fmt.Sprint(2*i+1)),
			})
			d.await("the commit is a failure", func(r *status.Report) string {
				if r.Revision.SHA != bad || r.State != status.Failure {
					return "it is not"
				}
				return ""
			})
			mended := push("mended", map[string]string{
				c.file: c.good, "apps/many/round.yaml": w.settings("round", fmt.Sprint(2*i+2)),
			})
			d.live(mended)
			eventually(t, "the forge shows a success", func() string {
				for _, st := range forge.Statuses(t, mended) {
					if st.State == "success" {
						return ""
					}
				}
				return "it does not"
			})
			for _, st := range forge.Statuses(t, mended) {
				if st.State != "pending" && st.State != "success" {
					t.Errorf("the fixed commit got %s %q", st.State, st.Description)
				}
			}
		})
	}
}
