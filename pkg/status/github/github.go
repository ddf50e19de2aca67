// Package github posts to GitHub: commit statuses with a token, check runs as a GitHub
// App.
//
// It takes statuses from the Poster of package status and makes requests to the API of
// GitHub, or of a GitHub Enterprise Server, of them; what that answers it tells in the
// errors of package status. github.go makes the providers, token.go and app.go prove who
// asks, statuses.go and checks.go post, pulls.go and comment.go are about pull requests.
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
	// limit is the most of a description that GitHub takes, in characters. Bytes are
	// at least as many.
	limit    = 140
	pageSize = 100
	// maxPages bounds every list: a commit has at most 1,000 statuses of a context.
	maxPages = 50
)

// Config says which repository's commits get the statuses, and who posts them.
type Config struct {
	// Base is GitHub's address as people see it: "https://github.com", or that of a GitHub
	// Enterprise Server. Token gives a token that may write commit statuses; an App needs
	// none.
	forgeclient.Config

	Owner, Repository string

	// AppID is the number of a GitHub App that is installed for the repository, and
	// AppKey gives its private key in PEM. Zero for a token.
	AppID  int64
	AppKey func() ([]byte, error)
}

// New makes a provider: Statuses with a token, Checks as an App. It makes no request:
// whether GitHub answers and the credential is good shows when the first status is
// posted, or by Probe.
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

// repository is what both providers have in common.
type repository struct {
	client      *forgeclient.Client
	api         string
	owner, name string
	proof       proof
	asked       *asked
}

// A proof shows GitHub who asks.
type proof interface {
	// sdk returns a client for one call.
	sdk(ctx context.Context) (*sdk.Client, error)
	// account returns whom GitHub names as the author of what is written.
	account(ctx context.Context, api *sdk.Client) (author, error)
	// refused is told that GitHub did not accept the client.
	refused()
}

// Name is "github".
func (r *repository) Name() string { return name }

// Limit is the most of a description that GitHub takes.
func (r *repository) Limit() int { return limit }

func (r *repository) full() string { return r.owner + "/" + r.name }

// connect makes a client for one call. It is no more than a struct.
func connect(client *http.Client, api, token string) (*sdk.Client, error) {
	options := []sdk.ClientOptionsFunc{
		sdk.WithHTTPClient(client), sdk.WithURLs(&api, &api), sdk.WithUserAgent("fedsync"),
		// How long GitHub is left alone is the Poster's to say.
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
