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

// app proves itself as a GitHub App: by its private key it finds its installation for
// the repository, and gets a token of an hour for that.
type app struct {
	client      *forgeclient.Client
	api         string
	owner, name string
	id          int64
	key         func() ([]byte, error)

	mu        sync.Mutex                // protects what follows
	digest    [sha256.Size]byte         // of the key that installed was made with
	installed *ghinstallation.Transport // nil while the installation is not known
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

// account asks for the App's own name, which is that of its account too.
func (a *app) account(ctx context.Context, _ *sdk.Client) (author, error) {
	key, err := a.readKey()
	if err != nil {
		return author{}, err
	}
	signer, err := a.signer(key)
	if err != nil {
		return author{}, err
	}
	api, err := a.itself(signer)
	if err != nil {
		return author{}, err
	}
	self, resp, err := api.Apps.Get(ctx, "")
	if err != nil {
		return author{}, explain(ctx, a.client, resp, err)
	}
	return author{bot: self.GetSlug() + "[bot]"}, nil
}

// refused forgets the installation: an App that was removed and installed again has
// another one.
func (a *app) refused() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.installed = nil
}

// transport returns what signs requests with the token of the installation. The key is
// read each time, so that one that was replaced takes effect.
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

// signer returns what signs requests as the App itself.
func (a *app) signer(key []byte) (*ghinstallation.AppsTransport, error) {
	signer, err := ghinstallation.NewAppsTransport(a.client.HTTP.Transport, a.id, key)
	if err != nil {
		return nil, fmt.Errorf("%w: --github-app-key-file holds no RSA private key in PEM", status.ErrUnauthorized)
	}
	signer.BaseURL = strings.TrimSuffix(a.api, "/")
	return signer, nil
}

// itself makes a client that asks as the App, and not as its installation.
func (a *app) itself(signer http.RoundTripper) (*sdk.Client, error) {
	client := *a.client.HTTP
	client.Transport = signer
	return connect(&client, a.api, "")
}

// installation finds the App's installation for the repository.
func (a *app) installation(ctx context.Context, signer http.RoundTripper) (int64, error) {
	api, err := a.itself(signer)
	if err != nil {
		return 0, err
	}
	found, resp, err := api.Apps.GetRepositoryInstallation(ctx, a.owner, a.name)
	if number := repositoryNumber(resp); number != 0 {
		// It was renamed. The next request tells by what, which an App itself may not ask.
		found, resp, err = api.Apps.GetRepositoryInstallationByID(ctx, number)
	}
	switch code := codeOf(resp); {
	case err == nil:
		return found.GetID(), nil
	case code == http.StatusUnauthorized:
		return 0, fmt.Errorf("%w: is --github-app-id the App of this key, and the clock right?", explain(ctx, a.client, resp, err))
	case code == http.StatusNotFound:
		return 0, fmt.Errorf("%w: the GitHub App %d is not installed for %s/%s: install it there", status.ErrUnauthorized, a.id, a.owner, a.name)
	}
	return 0, explain(ctx, a.client, resp, err)
}

// byNumber is where GitHub redirects to what is asked of a repository that was renamed.
var byNumber = regexp.MustCompile(`/repositories/([0-9]{1,18})(?:/|$)`)

// repositoryNumber returns the number of a repository that GitHub redirects to; zero for
// an answer that is no redirect.
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

// permissions returns what the installation may do. The token says so.
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

// tokenRefused returns the answer to the request for the installation's token, where
// that is what failed.
func tokenRefused(err error) *http.Response {
	if failed, ok := errors.AsType[*ghinstallation.HTTPError](err); ok {
		return failed.Response
	}
	return nil
}
