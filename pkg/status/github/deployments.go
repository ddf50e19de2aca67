package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

const (
	// task distinguishes our deployments from those of other clients in the environment.
	task = "deploy:fedsync"
	// maxDeployments is how many deployments of one commit and environment are read,
	// newest first. There is more than one only if a commit was deployed again.
	maxDeployments = 10

	stateInactive = "inactive"
)

// Deployments posts deployments of a commit to the environment that the status's context
// names. It is safe for concurrent use.
type Deployments struct {
	repository
	page  func(sha string) string
	probe func(ctx context.Context) error
}

var _ status.Prober = (*Deployments)(nil)

// Deployments returns the provider of deployments that posts with the same token.
func (p *Statuses) Deployments(page func(sha string) string) status.Provider {
	d := &Deployments{repository: p.repository, page: page}
	d.probe = d.tryDeployment
	return d
}

// Deployments returns the provider of deployments that posts as the same App.
func (p *Checks) Deployments(page func(sha string) string) status.Provider {
	return &Deployments{repository: p.repository, page: page, probe: func(ctx context.Context) error {
		return p.lacks(ctx, "deployments", (*sdk.InstallationPermissions).GetDeployments)
	}}
}

// Name is "github-deployments".
func (p *Deployments) Name() string { return name + "-deployments" }

// Post sets the state of the commit's newest deployment, and creates a deployment if
// there is none or the previous one became inactive. A deployment that has the state
// already is left unchanged.
func (p *Deployments) Post(ctx context.Context, c status.Commit) error {
	if err := p.post(ctx, c); err != nil {
		return fmt.Errorf("post deployment to github: %w", err)
	}
	return nil
}

func (p *Deployments) post(ctx context.Context, c status.Commit) error {
	api, err := p.proof.sdk(ctx)
	if err != nil {
		return err
	}
	want := p.wanted(c)
	made, err := p.ours(ctx, api, c.SHA, c.Context)
	if err != nil {
		return err
	}
	if len(made) > 0 {
		last, err := p.statusesOf(ctx, api, made[0])
		switch {
		case err != nil:
			return err
		case len(last) > 0 && matches(last[0], want):
			return nil
		case len(last) > 0 && last[0].GetState() == stateInactive:
			made = nil
		}
	}
	if len(made) == 0 {
		if c.Superseded {
			return nil // nothing is active
		}
		one, err := p.make(ctx, api, c)
		if err != nil {
			return err
		}
		made = append(made, one)
	}
	_, resp, err := api.Repositories.CreateDeploymentStatus(ctx, p.owner, p.name, made[0].GetID(), want)
	if err != nil {
		return p.failed(ctx, resp, err)
	}
	return nil
}

// make creates a deployment of the commit as it is: nothing is merged into it, and it
// waits for no check, least of all our own.
func (p *Deployments) make(ctx context.Context, api *sdk.Client, c status.Commit) (*sdk.Deployment, error) {
	made, resp, err := api.Repositories.CreateDeployment(ctx, p.owner, p.name, &sdk.DeploymentRequest{
		Ref: &c.SHA, Environment: &c.Context, Task: new(task), AutoMerge: new(false), RequiredContexts: &[]string{},
		Description: new("fedsync syncs this revision to the federation's clusters"),
	})
	if err != nil {
		return nil, p.ofCommit(ctx, resp, err, c.SHA)
	}
	return made, nil
}

func (p *Deployments) wanted(c status.Commit) *sdk.DeploymentStatusRequest {
	want := &sdk.DeploymentStatusRequest{
		State: new(deploymentStates.Of(c.State)), LogURL: orNone(p.page(c.SHA)), EnvironmentURL: orNone(c.TargetURL),
		Description: new(p.client.Description(c.Description, limit)),
		// Earlier deployments are ended by their own last status.
		AutoInactive: new(false),
	}
	if c.Superseded {
		want.State, want.EnvironmentURL = new(stateInactive), nil
	}
	return want
}

// matches reports whether a deployment status is the wanted one already.
func matches(has *sdk.DeploymentStatus, want *sdk.DeploymentStatusRequest) bool {
	if has.GetState() == stateInactive && *want.State == stateInactive {
		return true
	}
	return has.GetState() == *want.State && has.GetDescription() == *want.Description && has.GetEnvironmentURL() == want.GetEnvironmentURL()
}

// ours lists the deployments of a commit to an environment, newest first.
func (p *Deployments) ours(ctx context.Context, api *sdk.Client, sha, environment string) ([]*sdk.Deployment, error) {
	found, resp, err := api.Repositories.ListDeployments(ctx, p.owner, p.name, &sdk.DeploymentsListOptions{
		SHA: sha, Environment: environment, Task: task, ListOptions: sdk.ListOptions{PerPage: pageSize},
	})
	if err != nil {
		return nil, p.ofCommit(ctx, resp, err, sha)
	}
	found = slices.DeleteFunc(found, func(d *sdk.Deployment) bool {
		return d.GetSHA() != sha || d.GetEnvironment() != environment || d.GetTask() != task
	})
	slices.SortFunc(found, func(a, b *sdk.Deployment) int { return cmp.Compare(b.GetID(), a.GetID()) })
	return found[:min(len(found), maxDeployments)], nil
}

// statusesOf lists the statuses of a deployment, newest first.
func (p *Deployments) statusesOf(ctx context.Context, api *sdk.Client, d *sdk.Deployment) ([]*sdk.DeploymentStatus, error) {
	var all []*sdk.DeploymentStatus
	for page := 1; page <= maxPages; page++ {
		found, resp, err := api.Repositories.ListDeploymentStatuses(ctx, p.owner, p.name, d.GetID(), &sdk.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return nil, p.failed(ctx, resp, err)
		}
		all = append(all, found...)
		if resp.NextPage == 0 || len(found) == 0 {
			break
		}
	}
	slices.SortFunc(all, func(a, b *sdk.DeploymentStatus) int { return cmp.Compare(b.GetID(), a.GetID()) })
	return all, nil
}

// List returns the statuses of the commit's deployments to an environment, newest first.
func (p *Deployments) List(ctx context.Context, sha, environment string) ([]status.Commit, error) {
	commits, err := p.list(ctx, sha, environment)
	if err != nil {
		return nil, fmt.Errorf("list deployments of github: %w", err)
	}
	return commits, nil
}

func (p *Deployments) list(ctx context.Context, sha, environment string) ([]status.Commit, error) {
	api, err := p.proof.sdk(ctx)
	if err != nil {
		return nil, err
	}
	made, err := p.ours(ctx, api, sha, environment)
	if err != nil {
		return nil, err
	}
	var commits []status.Commit
	for _, d := range made {
		statuses, err := p.statusesOf(ctx, api, d)
		if err != nil {
			return nil, err
		}
		for _, s := range statuses {
			commits = append(commits, status.Commit{
				SHA: sha, Context: environment, State: deploymentStates.From(s.GetState()), Superseded: s.GetState() == stateInactive,
				Description: p.client.Secrets.Clean(s.GetDescription()), TargetURL: p.client.Secrets.Clean(s.GetEnvironmentURL()),
				Time: s.GetCreatedAt().Time,
			})
		}
	}
	return commits, nil
}

// Probe checks that deployments may be written. It writes none.
func (p *Deployments) Probe(ctx context.Context) error {
	if err := p.probe(ctx); err != nil {
		return fmt.Errorf("check the permission for deployments with github: %w", err)
	}
	return nil
}

// tryDeployment requests a deployment of a commit that no repository has: see unknownSHA.
func (p *Deployments) tryDeployment(ctx context.Context) error {
	api, err := p.proof.sdk(ctx)
	if err != nil {
		return err
	}
	_, err = p.make(ctx, api, status.Commit{SHA: unknownSHA, Context: "federation/probe"})
	if errors.Is(err, status.ErrRejected) {
		return nil
	}
	return err
}

// deploymentStates are GitHub's words for the state of a deployment. Only other clients
// post "error", "queued" and "pending".
var deploymentStates = forgeclient.States[string]{Pending: "in_progress", Success: "success", Failure: "failure"}
