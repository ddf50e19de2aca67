package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/fedsync/fedsync/pkg/status"
)

// nowhere is a commit that no repository has. Gitea judges the token's scope and the
// account's rights first, so that what it says to a status for this one tells whether
// others would be taken.
const nowhere = "0000000000000000000000000000000000000001"

// Probe finds out whether the token may write commit statuses. It writes none.
func (p *Provider) Probe(ctx context.Context) error {
	err := p.Post(ctx, status.Commit{SHA: nowhere, Context: "fedsync", State: status.Pending, Description: "probe"})
	if err == nil || errors.Is(err, status.ErrRejected) {
		return nil
	}
	return fmt.Errorf("probe the token: %w", err)
}

// moved finds out where the repository is that the forge redirects.
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
