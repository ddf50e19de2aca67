package azure

import (
	"context"
	"fmt"
	"net/http"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// Probe checks that the token is accepted and may read the repository. Azure DevOps does
// not reveal in advance whether it may post statuses. Probe writes nothing.
func (p *Provider) Probe(ctx context.Context) error {
	answer, err := p.send(ctx, forgeclient.Request{Method: http.MethodGet, Path: versioned(p.path, nil)})
	switch {
	case err != nil:
	case isSignIn(answer):
		err = fmt.Errorf("%w: it asks for a sign-in", status.ErrUnauthorized)
	case answer.Code == http.StatusNotFound:
		err = p.client.Missing(p.name)
	case answer.Code >= 300:
		err = p.client.Explain(answer.Code, answer.Header, answer.Words)
	}
	if err != nil {
		return fmt.Errorf("check the token with azure: %w", err)
	}
	return nil
}
