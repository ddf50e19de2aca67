// Package bitbucket posts build statuses to Bitbucket Cloud, and comments on its pull
// requests.
//
// It takes statuses from the Poster of package status and makes requests to Bitbucket's
// API of them; what Bitbucket answers it tells in that package's errors.
//
// It speaks HTTP itself. The client library that is kept, ktrysmt/go-bitbucket, makes a
// request with a context and then sends another without it, loses the headers of a
// refusal, Retry-After among them, and follows a page's "next" to whatever host it
// names, with the credential.
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
	// Host is where Bitbucket Cloud is. Its API is at another name.
	Host    = "bitbucket.org"
	apiBase = "https://api.bitbucket.org"

	limit = 255 // bytes of a description
)

// Config says which repository's commits get the statuses.
type Config struct {
	// Base is the forge's address, "https://bitbucket.org". Token gives an access token of
	// the repository, project or workspace, or "EMAIL:TOKEN" for an account's API token.
	forgeclient.Config

	Workspace  string
	Repository string
}

// Provider posts to one repository of Bitbucket. It is used by one goroutine at a time.
type Provider struct {
	client *forgeclient.Client
	name   string // of the repository: "team/web"
	path   string // of the repository in the API
	page   string // of the repository, for people
	pulls  pulls
}

var _ status.Reviewer = (*Provider)(nil)

// New makes a provider. It makes no request: whether Bitbucket answers and the token is
// good shows when the first status is posted.
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

// Limit is how much of a description is sent.
func (p *Provider) Limit() int { return limit }

// build is a build status in Bitbucket's words.
type build struct {
	Key         string    `json:"key"`
	State       string    `json:"state"`
	Name        string    `json:"name"`
	URL         string    `json:"url"`
	Description string    `json:"description"`
	CreatedOn   time.Time `json:"created_on,omitzero"`
	UpdatedOn   time.Time `json:"updated_on,omitzero"`
}

// Post records a status on the commit. Of one key Bitbucket keeps the latest.
func (p *Provider) Post(ctx context.Context, c status.Commit) error {
	link := c.TargetURL
	if link == "" {
		// Bitbucket takes none without; the commit's page is the best there is.
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

// List gives the commit's status under the context, if it has one.
func (p *Provider) List(ctx context.Context, sha, statusContext string) ([]status.Commit, error) {
	var found build
	err := p.do(ctx, forgeclient.Request{
		Method: http.MethodGet, Path: p.commit(sha) + "/statuses/build/" + keyOf(statusContext), Into: &found,
	}, sha)
	switch {
	case isRefusal(err, http.StatusNotFound) && !errors.Is(err, status.ErrUnauthorized):
		return nil, nil // neither the status, nor perhaps the commit, is there
	case err != nil:
		return nil, fmt.Errorf("list statuses of bitbucket: %w", err)
	}
	link := p.client.Secrets.Clean(found.URL)
	if link == p.page+"/commits/"+url.PathEscape(sha) {
		link = "" // Post's, where there was none
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

// refusal is an answer that is no, with what it means to the Poster.
type refusal struct {
	code int
	err  error
}

// Error says what it means.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap returns what it means.
func (r *refusal) Unwrap() error { return r.err }

// isRefusal reports whether an error is a refusal with one of the codes.
func isRefusal(err error, codes ...int) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && slices.Contains(codes, r.code)
}

// do makes a request. A refusal is a *refusal. Sha is the commit that it is about, if
// any.
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

// explain tells what a refusal means to the Poster.
func (p *Provider) explain(ctx context.Context, answer forgeclient.Answer, sha string) error {
	if answer.Code < 400 || answer.Code == http.StatusNotFound {
		if why := p.missing(ctx, sha); why != nil {
			return why
		}
	}
	return p.client.Explain(answer.Code, answer.Header, wordsOf(answer.Words))
}

// missing finds out what of a request is not there: the repository, or the commit. It
// returns nil where that is not the reason.
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

// moved finds the repository's new name in a redirect. Nothing but the path of the
// location is used, so it leads to no other host.
func (p *Provider) moved(ctx context.Context, location string) error {
	u, err := url.Parse(location)
	if err != nil {
		return nil //nolint:nilerr // what is no URL is no news
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

// wordsOf returns what a refusal says, which is JSON mostly.
func wordsOf(body string) string {
	var said struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(body), &said) == nil && said.Error.Message != "" {
		return said.Error.Message
	}
	return body
}
