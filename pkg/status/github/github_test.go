package github_test

import (
	"strings"
	"testing"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
	"github.com/fedsync/fedsync/pkg/status/github"
	"github.com/fedsync/fedsync/pkg/status/github/githubtest"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

// everything holds all permissions that fedsync may need.
var everything = map[string]string{"statuses": "write", "checks": "write", "contents": "read", "pull_requests": "write", "deployments": "write"}

// forge is a stand-in for GitHub with a repository that has two commits on main.
type forge struct {
	*githubtest.Server
	repo          *sourcetest.Repo
	first, second string
}

func newForge(t *testing.T) *forge {
	t.Helper()
	repo := sourcetest.New(t)
	f := &forge{repo: repo, first: repo.Push("first", map[string]string{"a": "1"}), second: repo.Push("second", map[string]string{"a": "2"})}
	return f.again(t)
}

// again returns another stand-in with the same repository.
func (f *forge) again(t *testing.T) *forge {
	t.Helper()
	other := *f
	other.Server = githubtest.New(t, f.repo.Path)
	other.AddToken(statustest.Token, "fedsync-bot", everything)
	return &other
}

func (f *forge) rename() string {
	f.Rename("platform/web2")
	return "platform/web2"
}

func (f *forge) config() github.Config {
	return github.Config{
		Config: forgeclient.Config{Base: f.URL, Token: func() (string, error) { return statustest.Token, nil }},
		Owner:  githubtest.Owner, Repository: githubtest.Name,
	}
}

func (f *forge) asApp(a *githubtest.App) github.Config {
	c := f.config()
	c.Token, c.AppID, c.AppKey = nil, a.ID, func() ([]byte, error) { return a.Key, nil }
	return c
}

func mustNew(t *testing.T, c github.Config) status.Reviewer {
	t.Helper()
	p, err := github.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *forge) commit(state status.State, words string) status.Commit {
	return status.Commit{SHA: f.first, Context: "fedsync/web", State: state, Description: words, TargetURL: "https://fedsync.example/revisions/" + f.first}
}

func TestStatusesConform(t *testing.T) {
	first := newForge(t)
	statustest.Run(t, func(t *testing.T) statustest.Fixture {
		f := first.again(t)
		fixture := f.fixture()
		fixture.Posted = func(_ *testing.T, sha, context string) []status.Commit {
			var posted []status.Commit
			for _, s := range f.Statuses(sha, context) {
				posted = append(posted, status.Commit{SHA: sha, Context: context, State: status.State(s.State), Description: s.Description, TargetURL: s.TargetURL, Time: s.At})
			}
			return posted
		}
		fixture.Fill = func() { f.Fill(f.first, "fedsync/web") }
		fixture.Lacking = []statustest.Lack{{Words: "statuses=write", Take: func() { f.AddToken(statustest.Token, "ada", map[string]string{"contents": "read"}) }}}
		return fixture
	})
}

// fixture returns the fixture of a token.
func (f *forge) fixture() statustest.Fixture {
	return statustest.Fixture{
		Forge: f.Server,
		New: func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
			c := f.config()
			c.Base, c.Token = baseURL, token
			return mustNew(t, c)
		},
		SHA: f.first, OtherSHA: f.second, Rename: f.rename,
	}
}

func TestChecksConform(t *testing.T) {
	first := newForge(t)
	statustest.Run(t, func(t *testing.T) statustest.Fixture {
		f := first.again(t)
		fixture, app := f.app(t)
		fixture.LatestOnly = true
		fixture.Posted = func(_ *testing.T, sha, context string) []status.Commit {
			var posted []status.Commit
			for _, c := range f.Checks(sha, context) {
				state := status.Pending
				if c.Status == "completed" {
					state = status.State(c.Conclusion)
				}
				posted = append(posted, status.Commit{SHA: sha, Context: context, State: state, Description: c.Title, TargetURL: c.DetailsURL, Time: c.Started})
			}
			return posted
		}
		fixture.Lacking = []statustest.Lack{
			{Words: "checks: write", Take: func() { f.Install(app, map[string]string{"checks": "read"}) }},
			{Words: "not installed", Take: func() { f.Uninstall(app) }},
		}
		return fixture
	})
}

// app returns the fixture of an App. It has a private key instead of a token, which the
// suite removes and replaces.
func (f *forge) app(t *testing.T) (statustest.Fixture, *githubtest.App) {
	app := f.AddApp(t, "fedsync", everything)
	other := f.AddApp(t, "other", nil)
	return statustest.Fixture{
		Forge: f.Server,
		New: func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
			c := f.asApp(app)
			c.Base = baseURL
			c.Secrets = secret.New(statustest.Token) // which is no secret of the App
			c.AppKey = func() ([]byte, error) {
				shown, err := token()
				if err != nil || shown == statustest.Token {
					return app.Key, err
				}
				return other.Key, nil
			}
			return mustNew(t, c)
		},
		SHA: f.first, OtherSHA: f.second, Key: true, Rename: f.rename,
	}, app
}

func TestNewFindsTheAPI(t *testing.T) {
	token := func() (string, error) { return "t", nil }
	tests := []struct{ base, want string }{
		{"https://github.com", "https://api.github.com/repos/team/web/statuses/"},
		{"https://acme.ghe.com/", "https://api.acme.ghe.com/repos/team/web/statuses/"},
		{"https://github.example", "https://github.example/api/v3/repos/team/web/statuses/"},
		{"https://git.example/github/", "https://git.example/github/api/v3/repos/team/web/statuses/"},
	}
	for _, tt := range tests {
		var asked string
		p := mustNew(t, github.Config{Config: forgeclient.Config{Base: tt.base, Token: token, HTTP: recorder(&asked)}, Owner: "team", Repository: "web"})
		if err := p.Post(t.Context(), status.Commit{SHA: strings.Repeat("1", 40), Context: "fedsync", State: status.Success}); err == nil {
			t.Errorf("%s: no error from an unreachable forge", tt.base)
		}
		if want := tt.want + strings.Repeat("1", 40); asked != want {
			t.Errorf("%s: requested %s, want %s", tt.base, asked, want)
		}
	}
	for _, c := range []github.Config{
		{Config: forgeclient.Config{Base: "https://github.com", Token: token}, Owner: "team"},
		{Config: forgeclient.Config{Base: "github.com", Token: token}, Owner: "team", Repository: "web"},
		{Config: forgeclient.Config{Base: "https://github.com"}, Owner: "team", Repository: "web"},
		{Config: forgeclient.Config{Base: "https://github.com"}, Owner: "team", Repository: "web", AppID: 1},
	} {
		if _, err := github.New(c); err == nil {
			t.Errorf("New(%+v) = no error", c)
		}
	}
}
