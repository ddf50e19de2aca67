package daemon

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
)

// A pull request that does not touch the federation's folder gets its check, which may be
// required, but no comment.
func TestAPullRequestBesideTheFolderGetsACheckAndNoComment(t *testing.T) {
	p := newPulled(t)
	p.cfg.Path = "fleet/prod"
	first := p.push("main", map[string]string{
		"fedsync.yaml":            "kind: [", // of another federation
		"fleet/prod/fedsync.yaml": p.file("web"), "fleet/prod/apps/web/config.yaml": p.settings("config", "one"), "other/x": "1",
	})
	d := p.start()
	r := d.live(first)
	if r.Folder != "fleet/prod" {
		t.Errorf("the report is of folder %q, want fleet/prod", r.Folder)
	}
	p.forge.AddWebhook(t, d.publicURL()+"/webhook/gitea", "hook-secret")
	context := "fedsync/fleet/prod/" + p.name
	check := context + "/plan"
	p.status(first, context, status.Success, "3/3 clusters")

	beside := p.push("beside", map[string]string{"other/x": "2", "fleet/staging/fedsync.yaml": "x"})
	number := p.propose("beside")
	p.status(beside, check, status.Success)
	p.repo.InWork("checkout", "--quiet", "--detach", first)
	inside := p.push("inside", map[string]string{"fleet/prod/apps/web/config.yaml": p.settings("config", "two")})
	changes := p.propose("inside")
	p.status(inside, check, status.Success, "to change")
	p.comment(changes, "fleet/prod/apps/web/config.yaml")
	if all := p.comments(number); len(all) > 0 {
		t.Errorf("the pull request outside the folder got the comments %q", all)
	}

	// A commit outside the folder gets its status, and changes nothing.
	before := p.versions()
	if err := p.merge(number); err != nil {
		t.Fatal(err)
	}
	var branch struct {
		Commit struct {
			ID string `json:"id"`
		} `json:"commit"`
	}
	p.call("GET", "/branches/main", nil, &branch)
	d.live(branch.Commit.ID)
	p.status(branch.Commit.ID, context, status.Success, "3/3 clusters")
	for name, version := range p.versions() {
		if before[name] != version {
			t.Errorf("%s was written by a commit outside the folder", name)
		}
	}

	// A commit that deletes the folder fails, and the objects remain.
	p.repo.InWork("fetch", "--quiet", p.forge.PushURL(), "main")
	p.repo.InWork("checkout", "--quiet", "--detach", "FETCH_HEAD")
	p.repo.InWork("rm", "--quiet", "-r", "fleet/prod")
	lost := p.push("main", nil)
	p.status(lost, context, status.Failure, "fleet/prod")
	for _, cluster := range p.sandbox.Clusters() {
		p.awaitValue(cluster, "config", "one")
	}
}
