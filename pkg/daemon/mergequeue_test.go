package daemon

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/status/github/githubtest"
)

// GitHub is a stand-in; the clusters are real.
func TestAMergeQueueWaitsForThePlanOfItsHead(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	forge := githubtest.New(t, w.repo.Path)
	app := forge.AddApp(t, "fedsync", map[string]string{"checks": "write", "pull_requests": "write"})
	w.cfg.CommitStatus, w.cfg.ForgeURL, w.cfg.ForgeRepository = "github", forge.URL, githubtest.Owner+"/"+githubtest.Name
	w.cfg.GitHubAppID, w.cfg.GitHubAppKeyFile = app.ID, writeFile(t, "app.pem", string(app.Key))
	w.cfg.PlanPullRequests, w.cfg.Interval = config.PlanOwn, time.Second
	d := w.start()
	d.live(w.repo.Push("first", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", "1")}))
	check := "fedsync/" + w.name + "/plan"
	forge.Protect("main", githubtest.Protection{Queue: true, Required: []githubtest.Required{{Context: check, App: app.ID}}})

	propose := func(branch, settings string) int64 {
		t.Helper()
		w.repo.InWork("checkout", "--quiet", "-B", branch, "main")
		w.repo.Commit(branch, map[string]string{"apps/web/" + branch + ".yaml": settings})
		w.repo.PushTo(branch)
		number, err := forge.OpenPull("Add "+branch, branch, "main")
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	planned := func(sha, conclusion string) {
		t.Helper()
		eventually(t, fmt.Sprintf("the plan of %.7s is a %s", sha, conclusion), func() string {
			all := forge.Checks(sha, check)
			if len(all) == 0 || all[len(all)-1].Conclusion != conclusion {
				return fmt.Sprintf("the checks are %+v", all)
			}
			return ""
		})
	}

	good, bad := propose("good", w.settings("good", "1")), propose("bad", w.settings("bad", "1")+"oops: 1\n")
	planned(forge.Pull(good).Head, "success")
	planned(forge.Pull(bad).Head, "failure")
	for _, number := range []int64{good, bad} {
		all := forge.Checks(forge.Pull(number).Head, check)
		if got := all[len(all)-1].Summary; !strings.Contains(got, "fedsync plan") {
			t.Errorf("the check of #%d shows %q, want the plan", number, got)
		}
	}
	if err := forge.Enqueue(bad); err == nil || !strings.Contains(err.Error(), "failing") {
		t.Errorf("the queue accepts a failing head: %v", err)
	}
	if err := forge.Enqueue(good); err != nil {
		t.Fatalf("the queue refuses a successful head: %v", err)
	}
	queued := forge.Pull(good).Queued
	planned(queued, "success")
	eventually(t, "the queue has merged it", func() string {
		if p := forge.Pull(good); !p.Merged {
			return fmt.Sprintf("it is %+v", p)
		}
		return ""
	})
	d.live(queued)
	if got := w.value(w.sandbox.Clusters()[0], "good"); got != "1" {
		t.Errorf("the cluster has %q of what was merged", got)
	}
}
