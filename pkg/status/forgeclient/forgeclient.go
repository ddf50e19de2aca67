// Package forgeclient is shared by the providers of forges: the HTTP client that they
// use, and the meaning of an answer for the Poster.
//
// It takes the operator's settings and a forge's answers, and returns the errors of
// package status. Text from a forge is cleaned before it becomes part of one.
package forgeclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/status"
)

const (
	maxAnswer = 4 << 20 // bytes of the longest answer that is read
	maxWords  = 300     // bytes of a forge's message that an error repeats
)

// Client sends requests to one forge. It is safe for concurrent use.
type Client struct {
	HTTP    *http.Client // bounded; follows no redirect
	Base    string       // the forge's address, without a slash at its end
	Secrets *secret.Set
	token   func() (string, error)
}

// Config holds the settings of a Client.
type Config struct {
	Base string // the forge's address: "https://git.example"
	// Token returns the credential. It is called for each request, so that a replaced one
	// takes effect.
	Token func() (string, error)
	HTTP  *http.Client // makes the requests; nil for a default client
	// Secrets learns each credential that is sent, and removes it from the forge's
	// messages; nil for a set of the client's own.
	Secrets *secret.Set
}

// New returns a client. It makes no request.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.Base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the forge's base URL must be like https://git.example")
	}
	if c.Token == nil {
		return nil, errors.New("the forge needs a token to post commit statuses")
	}
	u.User = nil // no other credential than the token is sent
	client := &Client{Base: strings.TrimSuffix(u.String(), "/"), Secrets: cmp.Or(c.Secrets, secret.New()), token: c.Token}
	client.HTTP, err = bounded(c.HTTP, client.Secrets)
	return client, err
}

// bounded returns a copy of a client that limits the size of answers.
func bounded(given *http.Client, secrets *secret.Set) (*http.Client, error) {
	client := http.Client{}
	if given != nil {
		client = *given
	}
	if client.Transport == nil {
		base, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			return nil, errors.New("the program's default HTTP transport was replaced by one of another type")
		}
		client.Transport = bounds.Headers(base)
	}
	client.Transport = &bounds.Outside{
		Next: client.Transport, Secrets: secrets,
		Most: func(*http.Request) int64 { return maxAnswer },
	}
	// A POST that is redirected becomes a GET, and succeeds without doing anything.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client, nil
}

// Token reads the token for one request. An empty one is status.ErrUnauthorized.
func (c *Client) Token() (string, error) {
	token, err := c.token()
	if err != nil {
		return "", fmt.Errorf("get the token: %w", err)
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", fmt.Errorf("%w: the token is empty", status.ErrUnauthorized)
	}
	return token, nil
}

// Clean turns a forge's message into one short line without secrets.
func (c *Client) Clean(message string) string {
	return untrusted.Known(c.Secrets).Clean(message, maxWords)
}

// Description cleans a status's description, and trims it to at most most bytes.
func (c *Client) Description(text string, most int) string {
	return untrusted.Known(c.Secrets).Clean(text, most)
}

// Unanswered returns the error of a request that got no answer: that of the context if it
// ended.
func (c *Client) Unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New(c.Clean(err.Error()))
}

// Explain returns what a refusal means for the Poster, from its code, its headers and the
// forge's message, which is cleaned.
func (c *Client) Explain(code int, header http.Header, words string) error {
	refusal := fmt.Errorf("%d %s", code, http.StatusText(code))
	if words = c.Clean(words); words != "" {
		refusal = fmt.Errorf("%w: %s", refusal, words)
	}
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: %w", status.ErrUnauthorized, refusal)
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		if after, ok := status.RetryAfter(header.Get("Retry-After")); ok {
			return &status.RetryAfterError{After: after, Err: refusal}
		}
		return refusal
	case code == http.StatusNotFound, code == http.StatusRequestTimeout:
		return refusal
	case code >= 300 && code < 400:
		if host := c.elsewhere(c.Base, header.Get("Location")); host != "" {
			return &status.MovedError{Host: host}
		}
		return fmt.Errorf("%w: the forge has moved: correct its base URL", refusal)
	case code >= 400 && code < 500:
		return fmt.Errorf("%w: %w", status.ErrRejected, refusal)
	}
	return refusal
}

// Moved returns the error for a repository that has a new name. The name comes from the
// forge, and is left out if it is invalid.
func (c *Client) Moved(name string) error {
	if name = c.Clean(name); !status.IsName(name) {
		name = ""
	}
	return &status.MovedError{Name: name}
}

// Missing returns the error for a repository that the forge does not show: forges hide
// what a token may not see.
func (c *Client) Missing(name string) error {
	return fmt.Errorf("%w: the repository %s does not exist, or the token may not see it", status.ErrUnauthorized, name)
}

// UnknownCommit returns the error for a commit that the repository does not have.
func (c *Client) UnknownCommit(repository, sha string) error {
	return fmt.Errorf("%w: %s has no commit %.12s", status.ErrRejected, repository, sha)
}
