package daemon

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/config"
	"github.com/fedsync/fedsync/pkg/status"
)

// pulled is a world with a repository on a real forge, whose pull requests are planned.
type pulled struct {
	*world
	forge *lab.Forge
	door  *door     // between the daemons and the forge's API
	since time.Time // when the current step began
}

func newPulled(t *testing.T) *pulled {
	t.Helper()
	return newPulledOn(t, lab.Shared(t))
}

// newPulledOn is like newPulled, with other clusters.
func newPulledOn(t *testing.T, s *lab.Sandbox) *pulled {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections) // those of lab.Forge, after its last request
	p := &pulled{world: newWorld(t, s), forge: lab.Shared(t).Forge(t).NewRepository(t), since: time.Now()}
	p.door = newDoor(t, p.forge.URL) // its end closes the idle connections of the daemon's provider
	p.cfg.ForgeURL, p.cfg.ForgeRepository = p.door.server.URL, p.forge.Owner+"/"+p.forge.Repository
	p.cfg.Repository, p.cfg.Revision = p.forge.CloneURL, "main"
	p.cfg.Username = p.forge.Owner
	p.cfg.TokenFile = writeFile(t, "token", p.forge.Token)
	p.cfg.CommitStatus, p.cfg.PlanPullRequests = "gitea", config.PlanOwn
	p.cfg.WebhookSecretFile = writeFile(t, "secret", "hook-secret")
	p.cfg.Interval = time.Hour // only a webhook notifies
	return p
}

// push commits files to a branch. A new branch begins at main.
func (p *pulled) push(branch string, files map[string]string) (sha string) {
	p.t.Helper()
	sha = p.repo.Commit(branch, files)
	p.repo.InWork("push", "--quiet", p.forge.PushURL(), "HEAD:refs/heads/"+branch)
	return sha
}

// call sends a request about the repository to the forge's API.
func (p *pulled) call(method, path string, body, into any) {
	p.t.Helper()
	if err := p.forge.Call(p.t.Context(), method, "/repos/"+p.forge.Owner+"/"+p.forge.Repository+path, body, into); err != nil {
		p.t.Fatal(err)
	}
}

// propose opens a pull request into main and returns its number.
func (p *pulled) propose(branch string) int64 {
	p.t.Helper()
	var pr struct {
		Number int64 `json:"number"`
	}
	p.call(http.MethodPost, "/pulls", map[string]any{"head": branch, "base": "main", "title": "Change " + branch}, &pr)
	return pr.Number
}

func (p *pulled) merge(number int64) error {
	return p.forge.Call(p.t.Context(), http.MethodPost, fmt.Sprintf("/repos/%s/%s/pulls/%d/merge", p.forge.Owner, p.forge.Repository, number), map[string]any{"Do": "merge"}, nil)
}

// status waits until a commit's newest status under a context has a state, and all of the
// words.
func (p *pulled) status(sha, context string, state status.State, words ...string) string {
	p.t.Helper()
	said := ""
	eventually(p.t, fmt.Sprintf("%s of %.7s is %s with %q", context, sha, state, words), func() string {
		for _, s := range p.latest(sha) {
			if s.Context != context {
				continue
			}
			said = s.State + ": " + s.Description
			if s.State != string(state) {
				return said
			}
			for _, word := range words {
				if !strings.Contains(s.Description, word) {
					return said
				}
			}
			return ""
		}
		return "there is none"
	})
	return said
}

// soon logs how long after a moment the forge had a status with a state for a commit. It
// fails at ten times the time that this should take, because the machine may be busy.
func (p *pulled) soon(what string, since time.Time, sha, context string, state status.State, most time.Duration) {
	p.t.Helper()
	eventually(p.t, what, func() string {
		all := p.forge.Statuses(p.t, sha)
		if !slices.ContainsFunc(all, func(s lab.Status) bool { return s.Context == context && s.State == string(state) }) {
			return fmt.Sprintf("its statuses are %+v", all)
		}
		return ""
	})
	took := time.Since(since)
	p.t.Logf("%6.2fs  from then until the forge shows: %s", took.Seconds(), what)
	if took > 10*most {
		p.t.Errorf("%s after %s, want at most %s", what, took, most)
	}
}

// latest returns the newest status of a commit under each context, which is what the forge
// decides by.
func (p *pulled) latest(sha string) []lab.Status {
	p.t.Helper()
	var all struct {
		Statuses []lab.Status `json:"statuses"`
	}
	p.call(http.MethodGet, "/commits/"+sha+"/status", nil, &all)
	return all.Statuses
}

// comments returns the bodies of a pull request's comments.
func (p *pulled) comments(number int64) []string {
	p.t.Helper()
	var all []struct {
		Body string `json:"body"`
	}
	p.call(http.MethodGet, fmt.Sprintf("/issues/%d/comments", number), nil, &all)
	var bodies []string
	for _, c := range all {
		bodies = append(bodies, c.Body)
	}
	return bodies
}

// comment waits until there is one comment that has all of the words.
func (p *pulled) comment(number int64, words ...string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("the comment on #%d has %q", number, words), func() string {
		all := p.comments(number)
		if len(all) != 1 {
			return fmt.Sprintf("there are %d: %q", len(all), all)
		}
		for _, word := range words {
			if !strings.Contains(all[0], word) {
				return all[0]
			}
		}
		return ""
	})
}

// step logs how long the step that ends took.
func (p *pulled) step(what string) {
	p.t.Logf("%6.2fs  %s", time.Since(p.since).Seconds(), what)
	p.since = time.Now()
}

func TestAPullRequestIsPlannedMendedAndMergedOnARealForge(t *testing.T) {
	p := newPulled(t)
	holder := p.sandbox.Clusters()[1]
	taken := p.sandbox.FreeNodePorts(t, 1)
	p.occupy(holder, p.sandbox.Namespace(t), "legacy", taken)
	first := p.push("main", map[string]string{"fedsync.yaml": p.file("web"), "apps/web/config.yaml": p.settings("config", "one")})
	d := p.start()
	d.live(first)
	p.forge.AddWebhook(t, d.publicURL()+"/webhook/gitea", "hook-secret")
	context, check := "fedsync/"+p.name, "fedsync/"+p.name+"/plan"
	p.call(http.MethodPost, "/branch_protections", map[string]any{
		"rule_name": "main", "branch_name": "main", "enable_push": true, "enable_status_check": true, "status_check_contexts": []string{check},
	}, nil)
	before := p.versions()
	p.step("the daemon runs, and the branch is protected")

	port := p.nodePort
	p.nodePort = taken
	files := func() map[string]string {
		return map[string]string{"apps/web/all.yaml": p.service() + "---\n" + p.replicaSet(1) + "---\n" + p.ingress()}
	}
	clash := p.push("ports", files())
	number := p.propose("ports")
	p.step("a pull request is open whose node port somebody has")
	said := p.status(clash, check, status.Failure, "legacy", holder, fmt.Sprint(taken))
	p.step("its head is red: " + said)
	if err := p.merge(number); err == nil {
		t.Fatal("the forge merged a pull request that is red")
	} else {
		p.step("it is not merged: " + err.Error())
	}
	p.comment(number, "legacy", "port clash")
	p.step("the comment says so")

	p.nodePort = port
	mended := p.push("ports", files())
	p.soon("a push's plan is pending", time.Now(), mended, check, status.Pending, time.Second)
	p.status(mended, check, status.Success, "3 to create")
	p.step("mended, the new head is green")
	p.comment(number, "3 to create", "Ingress")
	if diff := cmp.Diff(before, p.versions()); diff != "" {
		t.Errorf("a plan wrote something (-before +after):\n%s", diff)
	}
	p.step("the comment is another, and nothing was written to a cluster")

	if err := p.merge(number); err != nil {
		t.Fatalf("merge: %v", err)
	}
	merged := time.Now()
	var branch struct {
		Commit struct {
			ID string `json:"id"`
		} `json:"commit"`
	}
	p.call(http.MethodGet, "/branches/main", nil, &branch)
	p.step("it is merged")
	p.soon("the merged commit is pending", merged, branch.Commit.ID, context, status.Pending, time.Second)
	address := d.live(branch.Commit.ID).Addresses[0].Address
	p.soon("the last cluster is healthy, and the commit a success", time.Now(), branch.Commit.ID, context, status.Success, 2*time.Second)
	p.status(branch.Commit.ID, context, status.Success, address, "3/3 clusters")
	p.step("the merged commit is live, with " + address)
}
