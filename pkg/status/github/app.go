package github

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/bradleyfalzon/ghinstallation/v2"
	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// app authenticates as a GitHub App: with its private key it finds its installation for
// the repository, and gets a token for it that is valid for an hour.
type app struct {
	client      *forgeclient.Client
	api         string
	owner, name string
	id          int64
	key         func() ([]byte, error)

	mu        sync.Mutex                // protects what follows
	digest    [sha256.Size]byte         // of the key that created installed
	installed *ghinstallation.Transport // nil while the installation is unknown
}

func (a *app) sdk(ctx context.Context) (*sdk.Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	transport, err := a.transport(ctx)
	if err != nil {
		return nil, err
	}
	client := *a.client.HTTP
	client.Transport = transport
	return connect(&client, a.api, "")
}

// account requests the App's own name, which is also the name of its account.
func (a *app) account(ctx context.Context, _ *sdk.Client) (author, error) {
	key, err := a.readKey()
	if err != nil {
		return author{}, err
	}
	signer, err := a.signer(key)
	if err != nil {
		return author{}, err
	}
	api, err := a.asApp(signer)
	if err != nil {
		return author{}, err
	}
	self, resp, err := api.Apps.Get(ctx, "")
	if err != nil {
		return author{}, explain(ctx, a.client, resp, err)
	}
	return author{bot: self.GetSlug() + "[bot]"}, nil
}

// refused forgets the installation: an App that was removed and installed again has a new
// one.
func (a *app) refused() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.installed = nil
}

// transport returns the transport that signs requests with the token of the installation.
// The key is read each time, so that a replaced one takes effect.
func (a *app) transport(ctx context.Context) (*ghinstallation.Transport, error) {
	key, err := a.readKey()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(key)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.installed != nil && a.digest == digest {
		return a.installed, nil
	}
	signer, err := a.signer(key)
	if err != nil {
		return nil, err
	}
	number, err := a.installation(ctx, signer)
	if err != nil {
		return nil, err
	}
	a.digest, a.installed = digest, ghinstallation.NewFromAppsTransport(signer, number)
	return a.installed, nil
}

func (a *app) readKey() ([]byte, error) {
	key, err := a.key()
	if err != nil {
		return nil, fmt.Errorf("get the App's private key: %w", err)
	}
	a.client.Secrets.Learn(string(key))
	return key, nil
}

// signer returns the transport that signs requests as the App itself.
func (a *app) signer(key []byte) (*ghinstallation.AppsTransport, error) {
	signer, err := ghinstallation.NewAppsTransport(a.client.HTTP.Transport, a.id, key)
	if err != nil {
		return nil, fmt.Errorf("%w: --github-app-key-file holds no RSA private key in PEM", status.ErrUnauthorized)
	}
	signer.BaseURL = strings.TrimSuffix(a.api, "/")
	return signer, nil
}

// asApp returns a client that authenticates as the App, not as its installation.
func (a *app) asApp(signer http.RoundTripper) (*sdk.Client, error) {
	client := *a.client.HTTP
	client.Transport = signer
	return connect(&client, a.api, "")
}

// installation returns the number of the App's installation for the repository.
func (a *app) installation(ctx context.Context, signer http.RoundTripper) (int64, error) {
	api, err := a.asApp(signer)
	if err != nil {
		return 0, err
	}
	found, resp, err := api.Apps.GetRepositoryInstallation(ctx, a.owner, a.name)
	if number := repositoryNumber(resp); number != 0 {
		// It was renamed. An App itself may not request the new name; the next request
		// reports it.
		found, resp, err = api.Apps.GetRepositoryInstallationByID(ctx, number)
	}
	switch code := codeOf(resp); {
	case err == nil:
		return found.GetID(), nil
	case code == http.StatusUnauthorized:
		return 0, fmt.Errorf("%w: check that --github-app-id is the App of this key and that the clock is right", explain(ctx, a.client, resp, err))
	case code == http.StatusNotFound:
		return 0, fmt.Errorf("%w: the GitHub App %d is not installed for %s/%s: install it there", status.ErrUnauthorized, a.id, a.owner, a.name)
	}
	return 0, explain(ctx, a.client, resp, err)
}

// byNumber matches the path to which GitHub redirects requests for a renamed repository.
var byNumber = regexp.MustCompile(`/repositories/([0-9]{1,18})(?:/|$)`)

// repositoryNumber returns the number of the repository that an answer redirects to; zero
// if it is no redirect.
func repositoryNumber(resp *sdk.Response) int64 {
	if code := codeOf(resp); code < 300 || code >= 400 {
		return 0
	}
	found := byNumber.FindStringSubmatch(resp.Header.Get("Location"))
	if found == nil {
		return 0
	}
	number, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return 0
	}
	return number
}

// permissions returns the permissions of the installation, which come with its token.
func (a *app) permissions(ctx context.Context) (*sdk.InstallationPermissions, error) {
	transport, err := a.transport(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := transport.Token(ctx); err != nil {
		return nil, explain(ctx, a.client, nil, err)
	}
	granted, err := transport.Permissions()
	return &granted, err
}

// tokenRefused returns the answer to the request for the installation's token, if that
// request failed.
func tokenRefused(err error) *http.Response {
	if failed, ok := errors.AsType[*ghinstallation.HTTPError](err); ok {
		return failed.Response
	}
	return nil
}
