package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/status/github/githubtest"
)

// GitHub is a stand-in; the clusters are real.
func TestAPushIsADeploymentUntilTheNext(t *testing.T) {
	w := newWorld(t, lab.Shared(t))
	forge := githubtest.New(t, w.repo.Path)
	const token = "github-token-of-deployments"
	forge.AddToken(token, "fedsync-bot", map[string]string{"statuses": "write", "deployments": "write"})
	w.cfg.CommitStatus, w.cfg.ForgeURL, w.cfg.ForgeRepository = "github", forge.URL, githubtest.Owner+"/"+githubtest.Name
	w.cfg.ForgeTokenFile, w.cfg.Deployments = writeFile(t, "token", token), true
	w.cfg.PublicURL = "https://fedsync.example.com"
	d := w.start()

	states := func(sha string) []string {
		var all []string
		for _, made := range forge.Deployments(sha, "federation/"+w.name) {
			for _, s := range made.Statuses {
				all = append(all, s.State)
				if s.LogURL != w.cfg.PublicURL+"/revisions/"+sha {
					t.Errorf("%s of %.7s leads to %q", s.State, sha, s.LogURL)
				}
			}
		}
		return all
	}
	await := func(sha, last string) {
		t.Helper()
		eventually(t, fmt.Sprintf("%.7s is %s", sha, last), func() string {
			if got := states(sha); len(got) == 0 || got[len(got)-1] != last {
				return fmt.Sprintf("it is %v", got)
			}
			return ""
		})
		got := states(sha)
		if again := slices.Compact(slices.Clone(got)); len(again) != len(got) || len(forge.Deployments(sha, "federation/"+w.name)) != 1 {
			t.Errorf("%.7s is %v: a state was posted twice, or another deployment was made", sha, got)
		}
	}
	first := w.repo.Push("first", map[string]string{"fedsync.yaml": w.file("web"), "apps/web/a.yaml": w.settings("a", "1")})
	d.live(first)
	await(first, "success")
	bad := w.repo.Push("bad", map[string]string{"apps/web/a.yaml": w.settings("a", "2") + "oops: 1\n"})
	await(bad, "failure")
	await(first, "inactive")
	last := w.repo.Push("last", map[string]string{"apps/web/a.yaml": w.settings("a", "3")})
	d.live(last)
	await(last, "success")
	await(bad, "inactive")

	// A restart posts nothing again.
	before := strings.Join(slices.Concat(states(first), states(bad), states(last)), " ")
	d.stop()
	d = w.start()
	d.live(last)
	next := w.repo.Push("next", map[string]string{"apps/web/a.yaml": w.settings("a", "4")})
	d.live(next)
	await(next, "success")
	await(last, "inactive")
	if after := strings.Join(slices.Concat(states(first), states(bad), states(last)), " "); after != before+" inactive" {
		t.Errorf("after a restart and a push the earlier deployments are %s, want %s and one more that is inactive", after, before)
	}
}
