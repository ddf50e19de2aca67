// Package github posts to GitHub: commit statuses with a token, check runs as a GitHub
// App.
//
// It takes statuses from the Poster of package post, sends them to the API of GitHub or a
// GitHub Enterprise Server, and returns its answers as errors of package status.
// github.go creates the providers, token.go and app.go authenticate, statuses.go and
// checks.go post, pulls.go and comment.go handle pull requests.
package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

const (
	name = "github"
	// limit is the longest description that GitHub accepts, in characters. We count
	// bytes, which are at least as many.
	limit    = 140
	pageSize = 100
	// maxPages bounds every list: a commit has at most 1,000 statuses of a context.
	maxPages = 50
)

// Config names the repository whose commits get the statuses, and the account that posts
// them.
type Config struct {
	// Base is GitHub's address for users: "https://github.com", or that of a GitHub
	// Enterprise Server. Token returns a token that may write commit statuses; an App
	// needs none.
	forgeclient.Config

	Owner, Repository string

	// AppID is the number of a GitHub App that is installed for the repository, and
	// AppKey returns its private key in PEM. Zero means a token.
	AppID  int64
	AppKey func() ([]byte, error)
}

// New returns a provider: Statuses with a token, Checks as an App. It makes no request:
// Probe or the first post shows whether GitHub answers and the credential is valid.
func New(c Config) (status.Reviewer, error) {
	if c.Owner == "" || c.Repository == "" {
		return nil, errors.New("GitHub needs the repository's owner and name")
	}
	if c.AppID != 0 {
		c.Token = func() (string, error) { return "", nil } // the App's own is used
	}
	client, err := forgeclient.New(c.Config)
	if err != nil {
		return nil, err
	}
	r := repository{client: client, api: apiURL(client.Base), owner: c.Owner, name: c.Repository, asked: &asked{}}
	if c.AppID == 0 {
		r.proof = &tokenProof{client: client, api: r.api}
		return &Statuses{r}, nil
	}
	if c.AppKey == nil {
		return nil, errors.New("a GitHub App needs its private key: set --github-app-key-file")
	}
	a := &app{client: client, api: r.api, owner: c.Owner, name: c.Repository, id: c.AppID, key: c.AppKey}
	r.proof = a
	return &Checks{repository: r, app: a}, nil
}

// apiURL returns the address of the API, with a slash at its end.
func apiURL(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base + "/api/v3/" // forgeclient.New has parsed it before
	}
	switch {
	case u.Host == "github.com", strings.HasSuffix(u.Host, ".ghe.com"):
		return u.Scheme + "://api." + u.Host + "/"
	}
	return base + "/api/v3/"
}

// repository is shared by all providers.
type repository struct {
	client      *forgeclient.Client
	api         string
	owner, name string
	proof       proof
	asked       *asked
}

// A proof authenticates requests to GitHub.
type proof interface {
	// sdk returns a client for one call.
	sdk(ctx context.Context) (*sdk.Client, error)
	// account returns the author that GitHub names for what we write.
	account(ctx context.Context, api *sdk.Client) (author, error)
	// refused is called when GitHub did not accept the client.
	refused()
}

// Name is "github".
func (r *repository) Name() string { return name }

// Limit is the longest description that GitHub accepts.
func (r *repository) Limit() int { return limit }

func (r *repository) full() string { return r.owner + "/" + r.name }

// connect returns a client for one call. It is only a struct.
func connect(client *http.Client, api, token string) (*sdk.Client, error) {
	options := []sdk.ClientOptionsFunc{
		sdk.WithHTTPClient(client), sdk.WithURLs(&api, &api), sdk.WithUserAgent("fedsync"),
		// The Poster decides how long requests pause.
		sdk.WithDisableRateLimitCheck(),
	}
	if token != "" {
		options = append(options, sdk.WithAuthToken(token))
	}
	made, err := sdk.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return made, nil
}
