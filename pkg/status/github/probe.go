package github

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status"
)

// unknownSHA is a commit that no repository has. GitHub checks the permission first, so
// its answer to a status of this commit reveals whether the token may write others.
const unknownSHA = "0000000000000000000000000000000000000001"

// Probe checks that the token may write commit statuses. It writes none.
func (p *Statuses) Probe(ctx context.Context) error {
	err := p.post(ctx, status.Commit{SHA: unknownSHA, Context: "fedsync", State: status.Pending, Description: "probe"})
	if err == nil || errors.Is(err, status.ErrRejected) {
		return nil
	}
	return fmt.Errorf("check the token with github: %w", err)
}

// Probe checks that the App's installation may write checks.
func (p *Checks) Probe(ctx context.Context) error {
	if err := p.probe(ctx); err != nil {
		return fmt.Errorf("check the App with github: %w", err)
	}
	return nil
}

func (p *Checks) probe(ctx context.Context) error {
	return p.lacks(ctx, "checks", (*sdk.InstallationPermissions).GetChecks)
}

// lacks returns an error if the installation lacks the write permission.
func (p *Checks) lacks(ctx context.Context, permission string, get func(*sdk.InstallationPermissions) string) error {
	granted, err := p.app.permissions(ctx)
	if err != nil {
		return err
	}
	if get(granted) != "write" {
		return fmt.Errorf("%w: the App's installation lacks the permission %s: write", status.ErrUnauthorized, permission)
	}
	api, err := p.proof.sdk(ctx)
	if err != nil {
		return err
	}
	if _, resp, err := api.Repositories.Get(ctx, p.owner, p.name); err != nil {
		return p.failed(ctx, resp, err)
	}
	return nil
}
