// Package azure posts commit statuses to Azure DevOps.
//
// It takes statuses from the Poster of package post, sends them to Azure DevOps' endpoint
// for statuses, and returns its answers as errors of package status. It follows
// Microsoft's documentation of version 7.1 of the API, and has never been tested against
// the service itself.
package azure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

const (
	limit      = 255       // bytes of a description
	apiVersion = "7.1"     // of the requests
	genre      = "fedsync" // of all contexts: in Azure DevOps a context has a name and a genre
	pageSize   = 500
	maxPages   = 20
)

// Config names the repository whose commits get the statuses.
type Config struct {
	// Base is "https://dev.azure.com", or the address of a server. Token returns a
	// personal access token with the scope "Code (status)".
	forgeclient.Config

	Organization string // or collection
	Project      string
	Repository   string
}

// Provider posts to one repository of Azure DevOps. It is safe for concurrent use.
type Provider struct {
	client *forgeclient.Client
	name   string // of the repository: "contoso/shop/web"
	path   string // of the repository in the API
}

var _ status.Provider = (*Provider)(nil)

// New returns a provider. It makes no request.
func New(c Config) (*Provider, error) {
	client, err := forgeclient.New(c.Config)
	if err != nil {
		return nil, err
	}
	if c.Organization == "" || c.Project == "" || c.Repository == "" {
		return nil, errors.New("azure DevOps needs the repository's full name: ORGANIZATION/PROJECT/REPOSITORY")
	}
	return &Provider{
		client: client, name: c.Organization + "/" + c.Project + "/" + c.Repository,
		path: "/" + url.PathEscape(c.Organization) + "/" + url.PathEscape(c.Project) + "/_apis/git/repositories/" + url.PathEscape(c.Repository),
	}, nil
}

// Name is "azure".
func (p *Provider) Name() string { return "azure" }

// Limit is the longest description that is sent, in bytes.
func (p *Provider) Limit() int { return limit }

// gitStatus is a commit status in the format of the service.
type gitStatus struct {
	ID           int64         `json:"id,omitempty"`
	State        string        `json:"state"`
	Description  string        `json:"description"`
	TargetURL    string        `json:"targetUrl,omitempty"`
	Context      statusContext `json:"context"`
	CreationDate time.Time     `json:"creationDate,omitzero"`
}

type statusContext struct {
	Name  string `json:"name"`
	Genre string `json:"genre"`
}

// Post records a status on the commit.
func (p *Provider) Post(ctx context.Context, c status.Commit) error {
	var made gitStatus
	want := gitStatus{
		State: states.Of(c.State), Description: p.client.Description(c.Description, limit), TargetURL: c.TargetURL,
		Context: statusContext{Name: c.Context, Genre: genre},
	}
	err := p.do(ctx, forgeclient.Request{Method: http.MethodPost, Path: p.statuses(c.SHA, nil), Body: want, Into: &made}, c.SHA)
	if err == nil && made.Context != want.Context {
		err = errors.New("the answer is not about the status: is this Azure DevOps?")
	}
	if err != nil {
		return fmt.Errorf("post status to azure: %w", err)
	}
	return nil
}

// List returns the commit's statuses under the context, newest first.
func (p *Provider) List(ctx context.Context, sha, context string) ([]status.Commit, error) {
	var found []gitStatus
	for n := range maxPages {
		var list struct {
			Value []gitStatus `json:"value"`
		}
		query := url.Values{"top": {strconv.Itoa(pageSize)}, "skip": {strconv.Itoa(n * pageSize)}}
		err := p.do(ctx, forgeclient.Request{Method: http.MethodGet, Path: p.statuses(sha, query), Into: &list}, sha)
		if errors.Is(err, errUnknownCommit) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list statuses of azure: %w", err)
		}
		for _, s := range list.Value {
			if s.Context == (statusContext{Name: context, Genre: genre}) {
				found = append(found, s)
			}
		}
		if len(list.Value) < pageSize {
			break
		}
	}
	slices.SortFunc(found, func(a, b gitStatus) int { return cmp.Compare(b.ID, a.ID) })
	commits := make([]status.Commit, 0, len(found))
	for _, s := range found {
		commits = append(commits, status.Commit{
			SHA: sha, Context: s.Context.Name, State: states.From(s.State), Description: p.client.Secrets.Clean(s.Description),
			TargetURL: p.client.Secrets.Clean(s.TargetURL), Time: s.CreationDate,
		})
	}
	return commits, nil
}

func (p *Provider) commit(sha string) string { return p.path + "/commits/" + url.PathEscape(sha) }

func (p *Provider) statuses(sha string, query url.Values) string {
	return versioned(p.commit(sha)+"/statuses", query)
}

func versioned(path string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	query.Set("api-version", apiVersion)
	return path + "?" + query.Encode()
}

var errUnknownCommit = errors.New("the commit is unknown")

// do makes a request and explains a refusal. sha is the commit of the request.
func (p *Provider) do(ctx context.Context, r forgeclient.Request, sha string) error {
	answer, err := p.send(ctx, r)
	switch {
	case err != nil:
		return err
	case isSignIn(answer):
		return fmt.Errorf("%w: it asks for a sign-in", status.ErrUnauthorized)
	case answer.Code < 300:
		return nil
	case answer.Code == http.StatusNotFound:
		if why := p.missing(ctx, sha); why != nil {
			return why
		}
	}
	return p.client.Explain(answer.Code, answer.Header, answer.Words)
}

// isSignIn reports whether the answer is the sign-in page, which a request with an
// expired token or none receives.
func isSignIn(a forgeclient.Answer) bool {
	return a.Code == http.StatusNonAuthoritativeInfo || a.Code == http.StatusFound && strings.Contains(a.Header.Get("Location"), "_signin")
}

func (p *Provider) send(ctx context.Context, r forgeclient.Request) (forgeclient.Answer, error) {
	if err := ctx.Err(); err != nil {
		return forgeclient.Answer{}, err
	}
	token, err := p.client.Token()
	if err != nil {
		return forgeclient.Answer{}, err
	}
	return p.client.Do(ctx, r, func(req *http.Request) { req.SetBasicAuth("", token) })
}

// missing returns the error for what a request did not find: the repository or the
// commit. It returns nil if both exist.
func (p *Provider) missing(ctx context.Context, sha string) error {
	answer, err := p.send(ctx, forgeclient.Request{Method: http.MethodGet, Path: versioned(p.path, nil)})
	switch {
	case err != nil:
		return ctx.Err()
	case answer.Code == http.StatusNotFound:
		return p.client.Missing(p.name)
	case answer.Code != http.StatusOK:
		return nil
	}
	answer, err = p.send(ctx, forgeclient.Request{Method: http.MethodGet, Path: versioned(p.commit(sha), nil)})
	if err == nil && answer.Code == http.StatusNotFound {
		return fmt.Errorf("%w: %w", errUnknownCommit, p.client.UnknownCommit(p.name, sha))
	}
	return ctx.Err()
}

// states are Azure DevOps' words for the states.
var states = forgeclient.States[string]{Pending: "pending", Success: "succeeded", Failure: "failed"}
