package github

import (
	"context"
	"errors"
	"fmt"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status"
)

// nowhere is a commit that no repository has. GitHub judges the permission first, so
// that what it says to a status for this one tells whether the token may write others.
const nowhere = "0000000000000000000000000000000000000001"

// Probe finds out whether the token may write commit statuses. It writes none.
func (p *Statuses) Probe(ctx context.Context) error {
	err := p.post(ctx, status.Commit{SHA: nowhere, Context: "fedsync", State: status.Pending, Description: "probe"})
	if err == nil || errors.Is(err, status.ErrRejected) {
		return nil
	}
	return fmt.Errorf("probe the token on github: %w", err)
}

// Probe finds out whether the App's installation may write checks.
func (p *Checks) Probe(ctx context.Context) error {
	if err := p.probe(ctx); err != nil {
		return fmt.Errorf("probe the App on github: %w", err)
	}
	return nil
}

func (p *Checks) probe(ctx context.Context) error {
	return p.lacks(ctx, "checks", (*sdk.InstallationPermissions).GetChecks)
}

// lacks returns an error where the installation may not write what a permission is about.
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
