package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	sdk "gitlab.com/gitlab-org/api/client-go"

	"github.com/fedsync/fedsync/pkg/status"
)

// Probe finds out what the token lacks: the scope, or the account's role in the project.
// It writes nothing.
func (p *Provider) Probe(ctx context.Context) error {
	if err := p.probe(ctx); err != nil {
		return fmt.Errorf("ask gitlab about the token: %w", err)
	}
	return nil
}

func (p *Provider) probe(ctx context.Context) error {
	token, response, err := p.api.PersonalAccessTokens.GetSinglePersonalAccessToken(sdk.WithContext(ctx))
	switch code := codeOf(response); {
	case err == nil && !slices.Contains(token.Scopes, "api"):
		return fmt.Errorf("%w: the token lacks the scope api", status.ErrUnauthorized)
	case err == nil:
	case code == http.StatusNotFound || code == http.StatusForbidden:
		// It is of another sort, whose scopes cannot be asked for.
	default:
		return p.explain(ctx, response, err, "")
	}
	project, response, err := p.api.Projects.GetProject(p.project, nil, sdk.WithContext(ctx))
	if err != nil {
		return p.explain(ctx, response, err, "")
	}
	if level, known := levelIn(project.Permissions); known && level < sdk.DeveloperPermissions {
		return fmt.Errorf("%w: the token's account lacks the role Developer in %s", status.ErrUnauthorized, p.project)
	}
	return nil
}

// levelIn returns the greatest role that the project or its group gives. An administrator
// has none, and all rights.
func levelIn(p *sdk.Permissions) (level sdk.AccessLevelValue, known bool) {
	if p == nil {
		return 0, false
	}
	if p.ProjectAccess != nil {
		level, known = p.ProjectAccess.AccessLevel, true
	}
	if p.GroupAccess != nil {
		level, known = max(level, p.GroupAccess.AccessLevel), true
	}
	return level, known
}
