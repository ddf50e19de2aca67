package gitlab_test

import (
	"slices"
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

const environment = "federation/web"

func TestDeploymentsConform(t *testing.T) {
	states := map[string]status.State{"running": status.Pending, "success": status.Success, "failed": status.Failure, "canceled": status.Failure}
	statustest.Run(t, func(t *testing.T) statustest.Fixture {
		f := newForge()
		fixture := fixtureOf(t, f)
		made := fixture.New
		fixture.New = func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
			d, ok := made(t, baseURL, token).(status.Deployer)
			if !ok {
				t.Fatal("GitLab has no deployments")
			}
			return d.Deployments(nil)
		}
		fixture.Posted = func(_ *testing.T, sha, context string) []status.Commit {
			var posted []status.Commit
			for _, d := range f.Deployments(sha, context) {
				posted = append(posted, status.Commit{SHA: sha, Context: context, State: states[d.Status], Time: d.UpdatedAt})
			}
			return posted
		}
		fixture.Fill, fixture.Wordless = nil, true
		return fixture
	})
}

func TestADeploymentIsContinuedOrRecreated(t *testing.T) {
	const address = "http://203.0.113.10/"
	f := newForge()
	p := serve(t, f).Deployments(nil)
	post := func(sha string, state status.State, superseded bool, want ...string) {
		t.Helper()
		c := status.Commit{SHA: sha, Context: environment, State: state, Superseded: superseded}
		if state == status.Success {
			c.TargetURL = address
		}
		for range 2 { // again, as after a lost answer
			if err := p.Post(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, d := range f.Deployments(sha, environment) {
			got = append(got, d.Status)
			if d.Ref != "main" || d.Tag {
				t.Errorf("the deployment is %+v", d)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("after %s, superseded %t: %v, want %v", state, superseded, got, want)
		}
	}
	post(shaA, status.Success, true)
	post(shaA, status.Pending, false, "running")
	post(shaA, status.Success, false, "success")
	post(shaA, status.Pending, false, "success", "running")
	post(shaA, status.Failure, false, "success", "failed")
	post(shaB, status.Pending, false, "running")
	post(shaB, status.Failure, true, "canceled")
	list, err := p.List(t.Context(), shaB, environment)
	if err != nil || len(list) != 1 || !list[0].Superseded {
		t.Errorf("List = %+v, %v, want a superseded one", list, err)
	}
	post(shaA, status.Success, false, "success", "failed", "success")
	if got := f.Deployments(shaA, environment); got[2].Environment.ExternalURL != address {
		t.Errorf("the environment's URL is %q, want %q", got[2].Environment.ExternalURL, address)
	}
	f.Approvals = true
	post(shaB, status.Pending, false, "canceled", "blocked")
	list, err = p.List(t.Context(), shaB, environment)
	if err != nil || len(list) != 2 || list[0].State != status.Pending {
		t.Errorf("List = %+v, %v, want a pending one while it waits for an approval", list, err)
	}
	list, err = p.List(t.Context(), shaA, environment)
	if err != nil || len(list) != 3 || list[0].TargetURL != address || list[1].State != status.Failure {
		t.Errorf("List = %+v, %v", list, err)
	}
}
