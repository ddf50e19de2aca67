package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	sdk "gitlab.com/gitlab-org/api/client-go"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// maxDeployments is how many pages of an environment's deployments are searched for those
// of one commit, newest first.
const maxDeployments = 5

// Deployments posts deployments of a commit to the environment that the status's context
// names. In GitLab a deployment has a state but no description, and its URL is that of
// its environment. A success is active until a later one. Deployments is used by one
// goroutine at a time.
type Deployments struct{ *Provider }

var _ status.Prober = (*Deployments)(nil)

// Deployments returns the provider of deployments that posts with the same token. GitLab
// cannot link to the page of a commit, so the argument is unused.
func (p *Provider) Deployments(func(sha string) string) status.Provider { return &Deployments{p} }

// Name is "gitlab-deployments".
func (p *Deployments) Name() string { return p.Provider.Name() + "-deployments" }

// Post sets the state of the commit's newest deployment if GitLab permits that, and
// creates another deployment otherwise. A deployment that has the state already is left
// unchanged.
func (p *Deployments) Post(ctx context.Context, c status.Commit) error {
	if err := p.deploy(ctx, c); err != nil {
		return fmt.Errorf("post deployment to gitlab: %w", err)
	}
	return nil
}

func (p *Deployments) deploy(ctx context.Context, c status.Commit) error {
	made, err := p.ours(ctx, c.SHA, c.Context)
	if err != nil {
		return err
	}
	want := deploymentStates.Of(c.State)
	var last *sdk.Deployment
	if len(made) > 0 {
		last = made[0]
	}
	switch {
	case c.Superseded && (last == nil || !inProgress(last)):
		return nil // it has ended, and GitLab knows which is active
	case c.Superseded:
		return p.change(ctx, last, sdk.DeploymentStatusCanceled)
	case last == nil, last.Status != string(want) && !inProgress(last):
		if last, err = p.make(ctx, c, want); err != nil {
			return err
		}
	case last.Status != string(want) && c.State != status.Pending:
		if err := p.change(ctx, last, want); err != nil {
			return err
		}
	}
	return p.link(ctx, last.Environment, c.TargetURL)
}

// inProgress reports whether a deployment has not ended: it may be waiting for an
// approval.
func inProgress(d *sdk.Deployment) bool {
	return slices.Contains([]string{"created", "blocked", string(sdk.DeploymentStatusRunning)}, d.Status)
}

func (p *Deployments) make(ctx context.Context, c status.Commit, want sdk.DeploymentStatusValue) (*sdk.Deployment, error) {
	at, err := p.followed(ctx)
	if err != nil {
		return nil, err
	}
	made, response, err := p.api.Deployments.CreateProjectDeployment(p.project, &sdk.CreateProjectDeploymentOptions{
		Environment: &c.Context, Ref: &at.ref, SHA: &c.SHA, Tag: &p.tag, Status: &want,
	}, sdk.WithContext(ctx))
	switch {
	case err == nil:
		return made, nil
	case codeOf(response) == http.StatusBadRequest && strings.Contains(messageOf(err), "commit does not exist"):
		return nil, p.client.UnknownCommit(p.project, c.SHA)
	}
	return nil, p.explain(ctx, response, err, c.SHA)
}

func (p *Deployments) change(ctx context.Context, d *sdk.Deployment, to sdk.DeploymentStatusValue) error {
	_, response, err := p.api.Deployments.UpdateProjectDeployment(p.project, d.ID, &sdk.UpdateProjectDeploymentOptions{Status: &to}, sdk.WithContext(ctx))
	if err != nil {
		return p.explain(ctx, response, err, "")
	}
	return nil
}

// link sets the URL of an environment. A URL that GitLab does not accept is left out.
func (p *Deployments) link(ctx context.Context, e *sdk.Environment, to string) error {
	if e == nil || to == "" || len(to) > maxURL || e.ExternalURL == to {
		return nil
	}
	_, response, err := p.api.Environments.EditEnvironment(p.project, e.ID, &sdk.EditEnvironmentOptions{ExternalURL: &to}, sdk.WithContext(ctx))
	if err != nil {
		return p.explain(ctx, response, err, "")
	}
	return nil
}

// ours lists the deployments of a commit to an environment that were created through the
// API, newest first.
func (p *Deployments) ours(ctx context.Context, sha, environment string) ([]*sdk.Deployment, error) {
	order, sort := "id", "desc"
	var found []*sdk.Deployment
	for page := int64(1); page <= maxDeployments; page++ {
		list, response, err := p.api.Deployments.ListProjectDeployments(p.project, &sdk.ListProjectDeploymentsOptions{
			ListOptions: sdk.ListOptions{Page: page, PerPage: pageSize}, OrderBy: &order, Sort: &sort, Environment: &environment,
		}, sdk.WithContext(ctx))
		if err != nil {
			return nil, p.explain(ctx, response, err, "")
		}
		found = append(found, list...)
		if response.NextPage == 0 || len(list) == 0 {
			break
		}
	}
	return slices.DeleteFunc(found, func(d *sdk.Deployment) bool {
		return d == nil || d.SHA != sha || d.Environment == nil || d.Environment.Name != environment || d.Deployable.ID != 0
	}), nil
}

// List returns the commit's deployments to an environment as statuses, newest first.
func (p *Deployments) List(ctx context.Context, sha, environment string) ([]status.Commit, error) {
	made, err := p.ours(ctx, sha, environment)
	if err != nil {
		return nil, fmt.Errorf("list deployments of gitlab: %w", err)
	}
	var commits []status.Commit
	for i, d := range made {
		c := status.Commit{
			SHA: sha, Context: environment, State: deploymentStates.From(sdk.DeploymentStatusValue(d.Status)),
			Superseded: d.Status == string(sdk.DeploymentStatusCanceled), Time: lastOf(d.CreatedAt, d.UpdatedAt),
		}
		if inProgress(d) {
			c.State = status.Pending
		}
		if i == 0 && c.State == status.Success {
			c.TargetURL = p.client.Secrets.Clean(d.Environment.ExternalURL)
		}
		commits = append(commits, c)
	}
	return commits, nil
}

// Probe checks that the token suffices for deployments, which need the same permissions
// as statuses. GitLab reveals only in answer to a deployment that the environment is
// protected.
func (p *Deployments) Probe(ctx context.Context) error { return p.Provider.Probe(ctx) }

// deploymentStates are GitLab's words for the state of a deployment. A superseded commit
// becomes "canceled".
var deploymentStates = forgeclient.States[sdk.DeploymentStatusValue]{
	Pending: sdk.DeploymentStatusRunning, Success: sdk.DeploymentStatusSuccess, Failure: sdk.DeploymentStatusFailed,
}
