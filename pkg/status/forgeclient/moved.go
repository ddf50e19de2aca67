package forgeclient

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/fedsync/fedsync/pkg/status"
)

// maxHops is how many redirects are followed to find a repository's name.
const maxHops = 3

// FindMoved returns the error for a repository that the forge redirects. It requests the
// repository's URL in the API and follows redirects to its new location, but to no other
// host, because ask adds the credential.
func (c *Client) FindMoved(ctx context.Context, ask *http.Client, repository string) error {
	at, err := url.Parse(repository)
	if err != nil {
		return &status.MovedError{}
	}
	for range maxHops {
		next, name := c.fetch(ctx, ask, at)
		switch {
		case name != "":
			return &status.MovedError{Name: name}
		case next == nil:
			return &status.MovedError{}
		}
		if host := c.elsewhere(at.String(), next.String()); host != "" {
			return &status.MovedError{Host: host}
		}
		at = next
	}
	return &status.MovedError{}
}

// elsewhere returns the address of the host that a redirect leads to; empty if it stays
// on the same host or is invalid.
func (c *Client) elsewhere(from, location string) string {
	at, err := url.Parse(from)
	to, wrong := url.Parse(location)
	if err != nil || wrong != nil || to.Host == "" || to.Host == at.Host && to.Scheme == at.Scheme {
		return ""
	}
	return c.Clean((&url.URL{Scheme: to.Scheme, Host: to.Host}).String())
}

// fetch requests one address. It returns the name of the repository there, or where it is
// redirected to.
func (c *Client) fetch(ctx context.Context, ask *http.Client, at *url.URL) (next *url.URL, name string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, ""
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "fedsync")
	resp, err := ask.Do(req)
	if err != nil {
		return nil, ""
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		next, err := resp.Location()
		if err != nil {
			return nil, ""
		}
		return next, ""
	}
	var found struct {
		FullName string `json:"full_name"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(&found) != nil {
		return nil, ""
	}
	if name := c.Clean(found.FullName); status.IsName(name) {
		return nil, name
	}
	return nil, ""
}
