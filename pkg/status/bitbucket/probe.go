package bitbucket

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// scopesHeader is where Bitbucket says what a token may do.
const scopesHeader = "X-OAuth-Scopes"

// Probe finds out whether the token is taken, and whether it may post build statuses. It
// writes nothing.
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
		return fmt.Errorf("ask bitbucket about the token: %w", err)
	}
	return nil
}
