package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/fedsync/fedsync/pkg/status"
)

// unknownSHA is a commit that no repository has. Gitea checks the token's scope and the
// account's rights first, so its answer to a status of this commit reveals whether it
// would accept others.
const unknownSHA = "0000000000000000000000000000000000000001"

// Probe checks that the token may write commit statuses. It writes none.
func (p *Provider) Probe(ctx context.Context) error {
	err := p.Post(ctx, status.Commit{SHA: unknownSHA, Context: "fedsync", State: status.Pending, Description: "probe"})
	if err == nil || errors.Is(err, status.ErrRejected) {
		return nil
	}
	return fmt.Errorf("check the token with gitea: %w", err)
}

// moved returns the error for a repository that the forge redirects.
func (p *Provider) moved(ctx context.Context) error {
	token, err := p.forge.Token()
	if err != nil {
		return err
	}
	client := *p.forge.HTTP
	client.Transport = withToken{client.Transport, token}
	return p.forge.FindMoved(ctx, &client, p.forge.Base+"/api/v1/repos/"+url.PathEscape(p.owner)+"/"+url.PathEscape(p.repository))
}

// withToken adds the token to requests.
type withToken struct {
	next  http.RoundTripper
	token string
}

// RoundTrip implements http.RoundTripper.
func (t withToken) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "token "+t.token)
	return t.next.RoundTrip(req)
}
