package github_test

import (
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

const environment = "federation/web"

func page(sha string) string { return "https://fedsync.example/revisions/" + sha }

func deploying(t *testing.T, p status.Provider) status.Provider {
	t.Helper()
	d, ok := p.(status.Deployer)
	if !ok {
		t.Fatalf("%T has no deployments", p)
	}
	return d.Deployments(page)
}

// deployed returns the stand-in's deployments of a commit as statuses.
func deployed(f *forge, sha, environment string) []status.Commit {
	states := map[string]status.State{"in_progress": status.Pending, "success": status.Success, "failure": status.Failure, "inactive": status.Failure}
	var posted []status.Commit
	for _, d := range f.Deployments(sha, environment) {
		for _, s := range d.Statuses {
			posted = append(posted, status.Commit{
				SHA: sha, Context: environment, State: states[s.State], Description: s.Description, TargetURL: s.EnvironmentURL,
				Superseded: s.State == "inactive", Time: s.At,
			})
		}
	}
	return posted
}

func TestDeploymentsConform(t *testing.T) {
	first := newForge(t)
	statustest.Run(t, func(t *testing.T) statustest.Fixture {
		f := first.again(t)
		fixture := f.deploying(f.fixture())
		fixture.Lacking = []statustest.Lack{{Words: "deployments=write", Take: func() { f.AddToken(statustest.Token, "ada", map[string]string{"statuses": "write"}) }}}
		return fixture
	})
}

func TestDeploymentsOfAnAppConform(t *testing.T) {
	first := newForge(t)
	statustest.Run(t, func(t *testing.T) statustest.Fixture {
		f := first.again(t)
		fixture, app := f.app(t)
		fixture = f.deploying(fixture)
		fixture.Lacking = []statustest.Lack{{Words: "deployments: write", Take: func() { f.Install(app, map[string]string{"checks": "write"}) }}}
		return fixture
	})
}

// deploying returns the fixture of a provider's deployments.
func (f *forge) deploying(fixture statustest.Fixture) statustest.Fixture {
	made := fixture.New
	fixture.New = func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
		return deploying(t, made(t, baseURL, token))
	}
	fixture.Posted = func(_ *testing.T, sha, context string) []status.Commit { return deployed(f, sha, context) }
	return fixture
}

// A commit whose checks failed and that is behind its branch is still deployed: GitHub
// would refuse it by default, or create another commit.
func TestACommitIsDeployedAsItIs(t *testing.T) {
	f := newForge(t)
	p := deploying(t, mustNew(t, f.config()))
	if err := mustNew(t, f.config()).Post(t.Context(), f.commit(status.Pending, "0/3")); err != nil {
		t.Fatal(err)
	}
	c := status.Commit{SHA: f.first, Context: environment, State: status.Pending}
	for _, state := range []status.State{status.Pending, status.Success, status.Success} {
		if c.State = state; state == status.Success {
			c.TargetURL = "http://203.0.113.10/"
		}
		if err := p.Post(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	made := f.Deployments(f.first, environment)
	if len(made) != 1 || len(made[0].Statuses) != 2 {
		t.Fatalf("deployments: %+v, want one with two states", made)
	}
	last := made[0].Statuses[1]
	if last.State != "success" || last.EnvironmentURL != c.TargetURL || last.LogURL != page(f.first) {
		t.Errorf("the last status: %+v", last)
	}
}

func TestASupersededDeploymentIsInactiveAndNotUsedAgain(t *testing.T) {
	f := newForge(t)
	p := deploying(t, mustNew(t, f.config()))
	post := func(state status.State, superseded bool) {
		t.Helper()
		if err := p.Post(t.Context(), status.Commit{SHA: f.first, Context: environment, State: state, Superseded: superseded}); err != nil {
			t.Fatal(err)
		}
	}
	post(status.Success, true) // of a commit that was never deployed
	if made := f.Deployments(f.first, environment); len(made) != 0 {
		t.Errorf("deployments: %+v, want none", made)
	}
	for range 2 {
		post(status.Success, false)
	}
	for range 2 {
		post(status.Success, true)
	}
	list, err := p.List(t.Context(), f.first, environment)
	if err != nil || len(list) != 2 || !list[0].Superseded || list[1].Superseded {
		t.Errorf("List = %+v, %v, want a superseded and another one", list, err)
	}
	post(status.Pending, false) // the commit is deployed again
	made := f.Deployments(f.first, environment)
	var states []string
	for _, d := range made {
		for _, s := range d.Statuses {
			states = append(states, s.State)
		}
	}
	if len(made) != 2 || len(states) != 3 || states[1] != "inactive" || states[2] != "in_progress" {
		t.Errorf("%d deployments with %v, want a second one that is in progress", len(made), states)
	}
}
