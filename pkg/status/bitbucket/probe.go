package bitbucket

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// scopesHeader is the header in which Bitbucket lists the scopes of a token.
const scopesHeader = "X-OAuth-Scopes"

// Probe checks that the token is accepted and may post build statuses. It writes nothing.
func (p *Provider) Probe(ctx context.Context) error {
	answer, err := p.send(ctx, forgeclient.Request{Method: http.MethodGet, Path: p.path})
	switch {
	case err != nil:
	case answer.Code >= 300:
		err = p.explain(ctx, answer, "")
	default:
		// An account's token has scopes such as read:repository:bitbucket.
		if scopes := answer.Header.Get(scopesHeader); scopes != "" && !strings.Contains(scopes, "repository") {
			err = fmt.Errorf("%w: the token lacks the scope repository", status.ErrUnauthorized)
		}
	}
	if err != nil {
		return fmt.Errorf("check the token with bitbucket: %w", err)
	}
	return nil
}
