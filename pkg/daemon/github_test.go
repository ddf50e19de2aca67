package daemon

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/github/githubtest"
)

// GitHub is a stand-in; the clusters are real.
func TestAGitHubAppTellsOfAPushByACheck(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	forge := githubtest.New(t, w.repo.Path)
	app := forge.AddApp(t, "fedsync", map[string]string{"checks": "write"})
	w.cfg.CommitStatus, w.cfg.ForgeURL, w.cfg.ForgeRepository = "github", forge.URL, githubtest.Owner+"/"+githubtest.Name
	w.cfg.GitHubAppID, w.cfg.GitHubAppKeyFile = app.ID, writeFile(t, "app.pem", string(app.Key))
	d := w.start()

	awaitCheck := func(sha, conclusion string) githubtest.Check {
		t.Helper()
		var last githubtest.Check
		eventually(t, "the check is a "+conclusion, func() string {
			all := forge.Checks(sha, "fedsync/"+w.name)
			if len(all) == 0 {
				return "there is none"
			}
			if last = all[len(all)-1]; last.Conclusion != conclusion {
				return fmt.Sprintf("it is %+v", last)
			}
			return ""
		})
		if len(forge.Statuses(sha, "fedsync/"+w.name)) > 0 {
			t.Error("there is a status in addition to the check")
		}
		return last
	}
	good := w.repo.Push("good", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", "1")})
	d.live(good)
	check := awaitCheck(good, "success")
	if !strings.Contains(check.Summary, "**Clusters**") || check.DetailsURL != d.publicURL()+"/revisions/"+good {
		t.Errorf("the check has no table of clusters, or no link: %+v", check)
	}

	bad := w.repo.Push("bad", map[string]string{"apps/web/a.yaml": w.settings("a", "2") + "oops: 1\n"})
	check = awaitCheck(bad, "failure")
	if !strings.Contains(check.Summary, "- ❌ ") || !strings.Contains(check.Summary, "apps/web/a.yaml: ") {
		t.Errorf("the check does not name the file that is wrong: %+v", check)
	}

	// An App that is removed is a finding; the daemon continues to sync.
	forge.Uninstall(app)
	last := w.repo.Push("mended", map[string]string{"apps/web/a.yaml": w.settings("a", "3")})
	d.live(last)
	d.await("a finding says what GitHub lacks", func(r *status.Report) string {
		for _, f := range r.Findings {
			if f.ID == "status" && strings.Contains(f.Message.String(), "forge token rejected") {
				return ""
			}
		}
		return "there is none"
	})
}
