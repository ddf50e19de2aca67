package azure

import (
	"context"
	"fmt"
	"net/http"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// Probe finds out whether the token is taken and shows the repository. Whether it may post
// statuses Azure DevOps does not say beforehand. It writes nothing.
func (p *Provider) Probe(ctx context.Context) error {
	answer, err := p.send(ctx, forgeclient.Request{Method: http.MethodGet, Path: versioned(p.path, nil)})
	switch {
	case err != nil:
	case signIn(answer):
		err = fmt.Errorf("%w: it asks to sign in", status.ErrUnauthorized)
	case answer.Code == http.StatusNotFound:
		err = p.client.Missing(p.name)
	case answer.Code >= 300:
		err = p.client.Explain(answer.Code, answer.Header, answer.Words)
	}
	if err != nil {
		return fmt.Errorf("ask azure about the token: %w", err)
	}
	return nil
}
