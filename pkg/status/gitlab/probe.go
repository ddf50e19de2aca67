package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	sdk "gitlab.com/gitlab-org/api/client-go"

	"github.com/fedsync/fedsync/pkg/status"
)

// Probe checks that the token has the needed scope, and its account the needed role in
// the project. It writes nothing.
func (p *Provider) Probe(ctx context.Context) error {
	if err := p.probe(ctx); err != nil {
		return fmt.Errorf("check the token with gitlab: %w", err)
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
		// It is of another kind, whose scopes cannot be read.
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

// levelIn returns the highest role that the project or its group grants. An administrator
// has no role, but all rights.
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
