// Package bitbucket posts build statuses to Bitbucket Cloud, and comments on its pull
// requests.
//
// It takes statuses from the Poster of package post, sends them to Bitbucket's API, and
// returns its answers as errors of package status.
//
// It makes its own HTTP requests. The maintained client library, ktrysmt/go-bitbucket,
// makes a request with a context and then sends another without it. It drops the headers
// of a refusal, including Retry-After. And it follows a page's "next" to any host, with
// the credential.
package bitbucket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

const (
	// Host is the host name of Bitbucket Cloud. Its API has another.
	Host    = "bitbucket.org"
	apiBase = "https://api.bitbucket.org"

	limit = 255 // bytes of a description
)

// Config names the repository whose commits get the statuses.
type Config struct {
	// Base is the forge's address, "https://bitbucket.org". Token returns an access token
	// of the repository, project or workspace, or "EMAIL:TOKEN" for an account's API
	// token.
	forgeclient.Config

	Workspace  string
	Repository string
}

// Provider posts to one repository of Bitbucket. It is used by one goroutine at a time.
type Provider struct {
	client *forgeclient.Client
	name   string // of the repository: "team/web"
	path   string // of the repository in the API
	page   string // of the repository, for users
	pulls  pulls
}

var _ status.Reviewer = (*Provider)(nil)

// New returns a provider. It makes no request: the first post shows whether Bitbucket
// answers and the token is valid.
func New(c Config) (*Provider, error) {
	if u, err := url.Parse(c.Base); err == nil && strings.EqualFold(u.Host, Host) {
		c.Base = apiBase
	}
	client, err := forgeclient.New(c.Config)
	if err != nil {
		return nil, err
	}
	if c.Workspace == "" || c.Repository == "" {
		return nil, errors.New("bitbucket needs the repository's workspace and name")
	}
	escaped := url.PathEscape(c.Workspace) + "/" + url.PathEscape(c.Repository)
	return &Provider{
		client: client, name: c.Workspace + "/" + c.Repository,
		path: "/2.0/repositories/" + escaped, page: "https://" + Host + "/" + escaped,
	}, nil
}

// Name is "bitbucket".
func (p *Provider) Name() string { return "bitbucket" }

// Limit is the longest description that is sent, in bytes.
func (p *Provider) Limit() int { return limit }

// build is a build status in Bitbucket's format.
type build struct {
	Key         string    `json:"key"`
	State       string    `json:"state"`
	Name        string    `json:"name"`
	URL         string    `json:"url"`
	Description string    `json:"description"`
	CreatedOn   time.Time `json:"created_on,omitzero"`
	UpdatedOn   time.Time `json:"updated_on,omitzero"`
}

// Post records a status on the commit. Bitbucket retains the latest of each key.
func (p *Provider) Post(ctx context.Context, c status.Commit) error {
	link := c.TargetURL
	if link == "" {
		// Bitbucket requires a link; the commit's page is the best available.
		link = p.page + "/commits/" + url.PathEscape(c.SHA)
	}
	var made build
	want := build{
		Key: keyOf(c.Context), State: states.Of(c.State), Name: c.Context, URL: link,
		Description: p.client.Description(c.Description, limit),
	}
	err := p.do(ctx, forgeclient.Request{
		Method: http.MethodPost, Path: p.commit(c.SHA) + "/statuses/build", Body: want, Into: &made,
	}, c.SHA)
	if err == nil && made.Key != want.Key {
		err = errors.New("the answer is not about the status: is this Bitbucket?")
	}
	if err != nil {
		return fmt.Errorf("post status to bitbucket: %w", err)
	}
	return nil
}

// List returns the commit's status under the context, if it has one.
func (p *Provider) List(ctx context.Context, sha, statusContext string) ([]status.Commit, error) {
	var found build
	err := p.do(ctx, forgeclient.Request{
		Method: http.MethodGet, Path: p.commit(sha) + "/statuses/build/" + keyOf(statusContext), Into: &found,
	}, sha)
	switch {
	case isRefusal(err, http.StatusNotFound) && !errors.Is(err, status.ErrUnauthorized):
		return nil, nil // the status does not exist, and perhaps not even the commit
	case err != nil:
		return nil, fmt.Errorf("list statuses of bitbucket: %w", err)
	}
	link := p.client.Secrets.Clean(found.URL)
	if link == p.page+"/commits/"+url.PathEscape(sha) {
		link = "" // Post added it
	}
	at := found.UpdatedOn
	if at.IsZero() {
		at = found.CreatedOn
	}
	return []status.Commit{{
		SHA: sha, Context: statusContext, State: states.From(found.State),
		Description: p.client.Secrets.Clean(found.Description), TargetURL: link, Time: at,
	}}, nil
}

func (p *Provider) commit(sha string) string { return p.path + "/commit/" + url.PathEscape(sha) }

// refusal is a refused request, with its meaning for the Poster.
type refusal struct {
	code int
	err  error
}

// Error returns the meaning.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap returns the meaning.
func (r *refusal) Unwrap() error { return r.err }

// isRefusal reports whether an error is a refusal with one of the codes.
func isRefusal(err error, codes ...int) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && slices.Contains(codes, r.code)
}

// do makes a request. A refusal is returned as a *refusal. sha is the commit of the
// request, if any.
func (p *Provider) do(ctx context.Context, r forgeclient.Request, sha string) error {
	answer, err := p.send(ctx, r)
	if err != nil || answer.Code < 300 {
		return err
	}
	return &refusal{code: answer.Code, err: p.explain(ctx, answer, sha)}
}

func (p *Provider) send(ctx context.Context, r forgeclient.Request) (forgeclient.Answer, error) {
	if err := ctx.Err(); err != nil {
		return forgeclient.Answer{}, err
	}
	token, err := p.client.Token()
	if err != nil {
		return forgeclient.Answer{}, err
	}
	return p.client.Do(ctx, r, func(req *http.Request) {
		if email, password, both := strings.Cut(token, ":"); both {
			req.SetBasicAuth(email, password)
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
	})
}

// explain returns the meaning of a refusal for the Poster.
func (p *Provider) explain(ctx context.Context, answer forgeclient.Answer, sha string) error {
	if answer.Code < 400 || answer.Code == http.StatusNotFound {
		if why := p.missing(ctx, sha); why != nil {
			return why
		}
	}
	return p.client.Explain(answer.Code, answer.Header, messageOf(answer.Words))
}

// missing returns the error for what a request did not find: the repository or the
// commit. It returns nil if both exist.
func (p *Provider) missing(ctx context.Context, sha string) error {
	var repository struct {
		FullName string `json:"full_name"`
	}
	answer, err := p.send(ctx, forgeclient.Request{Method: http.MethodGet, Path: p.path, Into: &repository})
	switch {
	case err != nil:
		return ctx.Err()
	case answer.Code == http.StatusNotFound:
		return p.client.Missing(p.name)
	case answer.Code >= 300 && answer.Code < 400:
		return p.moved(ctx, answer.Header.Get("Location"))
	case answer.Code != http.StatusOK:
		return nil
	case repository.FullName != "" && !strings.EqualFold(repository.FullName, p.name):
		return p.client.Moved(repository.FullName)
	case sha == "":
		return nil
	}
	if answer, err = p.send(ctx, forgeclient.Request{Method: http.MethodGet, Path: p.commit(sha)}); err == nil && answer.Code == http.StatusNotFound {
		return p.client.UnknownCommit(p.name, sha)
	}
	return ctx.Err()
}

// moved finds the repository's new name in a redirect. It uses only the path of the
// location, so it leads to no other host.
func (p *Provider) moved(ctx context.Context, location string) error {
	u, err := url.Parse(location)
	if err != nil {
		return nil //nolint:nilerr // an invalid URL means no redirect
	}
	_, rest, found := strings.Cut(u.EscapedPath(), "/2.0/repositories/")
	workspace, rest, _ := strings.Cut(rest, "/")
	name, _, _ := strings.Cut(rest, "/")
	if !found || workspace == "" || name == "" {
		return nil
	}
	var repository struct {
		FullName string `json:"full_name"`
	}
	answer, err := p.send(ctx, forgeclient.Request{
		Method: http.MethodGet, Path: "/2.0/repositories/" + workspace + "/" + name, Into: &repository,
	})
	if err != nil || answer.Code != http.StatusOK || repository.FullName == "" {
		return ctx.Err()
	}
	return p.client.Moved(repository.FullName)
}

// messageOf returns the message of a refusal, which is usually JSON.
func messageOf(body string) string {
	var refused struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(body), &refused) == nil && refused.Error.Message != "" {
		return refused.Error.Message
	}
	return body
}
