// Package gitea posts commit statuses to Gitea and Forgejo.
//
// It takes statuses from the Poster of package status and makes requests to the
// forge's API of them; what the forge answers it tells in that package's errors.
package gitea

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/fedsync/fedsync/internal/secret"
	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/bounds"
	"github.com/fedsync/fedsync/pkg/status"
)

const (
	// limit keeps descriptions to what the forge's page shows; its database
	// would take more.
	limit = 255
	// pageSize is the most that a forge gives at once unless it is set up
	// otherwise, and maxPages is more than the Poster ever posts under one
	// context, times the contexts it may have.
	pageSize = 50
	maxPages = 100
	// maxAnswer is the longest answer that is read.
	maxAnswer = 4 << 20
)

// Config says which repository's commits get the statuses.
type Config struct {
	// URL is the repository's, as it is cloned or browsed over HTTP:
	// "https://git.example/team/web.git". What stands before the last two
	// parts of its path is the forge's address.
	URL string
	// BaseURL, Owner and Repository say the same in parts and go before URL,
	// for a repository that is cloned over SSH or from a mirror.
	BaseURL    string // of the forge: "https://git.example"
	Owner      string
	Repository string

	// Token gives a token with the scope write:repository. It is called for
	// each request, so that one that was replaced takes effect.
	Token func() (string, error)
	// Client makes the requests; nil for one of this package's own.
	Client *http.Client
	// Secrets learns the tokens, and takes them out of what the forge says; one of the
	// provider's own when nil.
	Secrets *secret.Set
}

// Provider posts to one repository of a Gitea. It is safe for concurrent use.
type Provider struct {
	base, owner, repository string
	token                   func() (string, error)
	client                  *http.Client
	secrets                 *secret.Set
}

var _ status.Provider = (*Provider)(nil)

// New makes a provider. It makes no request: whether the forge answers and the
// token is good shows when the first status is posted.
func New(c Config) (*Provider, error) {
	p := &Provider{base: c.BaseURL, owner: c.Owner, repository: c.Repository, token: c.Token, secrets: cmp.Or(c.Secrets, secret.New())}
	if c.URL != "" {
		base, owner, repository, err := parse(c.URL)
		if err != nil && (p.base == "" || p.owner == "" || p.repository == "") {
			return nil, err
		}
		p.base, p.owner, p.repository = cmp.Or(p.base, base), cmp.Or(p.owner, owner), cmp.Or(p.repository, repository)
	}
	u, err := url.Parse(p.base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the forge's base URL must be like https://git.example")
	}
	u.User = nil // the token is all that is sent
	p.base = strings.TrimSuffix(u.String(), "/")
	if p.owner == "" || p.repository == "" {
		return nil, errors.New("the forge needs the repository's owner and name")
	}
	if p.token == nil {
		return nil, errors.New("the forge needs a token to post commit statuses")
	}
	client := http.Client{}
	if c.Client != nil {
		client = *c.Client
	}
	if client.Transport == nil {
		base, ok := http.DefaultTransport.(*http.Transport)
		if !ok {
			return nil, errors.New("the program's default HTTP transport was replaced by one of another type")
		}
		client.Transport = bounds.Headers(base)
	}
	client.Transport = &bounds.Outside{
		Next: client.Transport, Secrets: p.secrets,
		Most: func(*http.Request) int64 { return maxAnswer },
	}
	// A POST that is redirected becomes a GET, and succeeds without doing
	// anything.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p.client = &client
	return p, nil
}

// Name is "gitea".
func (p *Provider) Name() string { return "gitea" }

// Limit is how much of a description the forge shows.
func (p *Provider) Limit() int { return limit }

// Post records a status on the commit.
func (p *Provider) Post(ctx context.Context, c status.Commit) error {
	api, err := p.api(ctx)
	if err != nil {
		return fmt.Errorf("post status to gitea: %w", err)
	}
	_, response, err := api.CreateStatus(p.owner, p.repository, c.SHA, sdk.CreateStatusOption{
		State:       stateOf(c.State),
		TargetURL:   c.TargetURL,
		Description: untrusted.Known(p.secrets).Clean(c.Description, limit),
		Context:     c.Context,
	})
	if err == nil {
		return nil
	}
	err = p.explain(ctx, response, err)
	if unknown := p.unknown(ctx, api, response, c.SHA); unknown != nil {
		err = unknown
	}
	return fmt.Errorf("post status to gitea: %w", err)
}

// List gives the commit's statuses under the context, newest first.
func (p *Provider) List(ctx context.Context, sha, statusContext string) ([]status.Commit, error) {
	api, err := p.api(ctx)
	if err != nil {
		return nil, fmt.Errorf("list statuses of gitea: %w", err)
	}
	type numbered struct {
		id int64
		status.Commit
	}
	var found []numbered
	for page := 1; page <= maxPages; page++ {
		statuses, response, err := api.ListStatuses(p.owner, p.repository, sha, sdk.ListStatusesOption{
			ListOptions: sdk.ListOptions{Page: page, PageSize: pageSize},
		})
		if err != nil {
			if errors.Is(p.unknown(ctx, api, response, sha), status.ErrRejected) {
				return nil, nil
			}
			return nil, fmt.Errorf("list statuses of gitea: %w", p.explain(ctx, response, err))
		}
		for _, s := range statuses {
			if s.Context != statusContext {
				continue
			}
			found = append(found, numbered{s.ID, status.Commit{
				SHA: sha, Context: s.Context, State: stateFrom(s.State), Description: p.secrets.Clean(s.Description),
				TargetURL: p.secrets.Clean(s.TargetURL), Time: s.Created,
			}})
		}
		// A forge may give fewer than it is asked for, so only its own word
		// that there is no further page counts.
		if response.NextPage == 0 || len(statuses) == 0 {
			break
		}
	}
	// Their times have seconds only; their numbers tell which is newer.
	slices.SortFunc(found, func(a, b numbered) int { return cmp.Compare(b.id, a.id) })
	commits := make([]status.Commit, 0, len(found))
	for _, f := range found {
		commits = append(commits, f.Commit)
	}
	return commits, nil
}

// api makes a client for one call. The SDK's client holds a context and a token,
// both of which are the call's here; it is no more than a struct. An empty
// version keeps it from asking the forge for its own.
func (p *Provider) api(ctx context.Context) (*sdk.Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	token, err := p.token()
	if err != nil {
		return nil, fmt.Errorf("get the token: %w", err)
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return nil, fmt.Errorf("%w: the token is empty", status.ErrUnauthorized)
	}
	api, err := sdk.NewClient(p.base, sdk.SetContext(ctx), sdk.SetToken(token),
		sdk.SetHTTPClient(p.client), sdk.SetGiteaVersion(""), sdk.SetUserAgent("fedsync"))
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return api, nil
}

// unknown finds out why a request about a commit failed in a way that has two
// meanings. Gitea answers 500 for a commit it does not have, and 404 both for
// that and for a repository that the token may not see. It gives nil when the
// commit is not the reason.
func (p *Provider) unknown(ctx context.Context, api *sdk.Client, failed *sdk.Response, sha string) error {
	if code := codeOf(failed); code != http.StatusNotFound && code != http.StatusInternalServerError {
		return nil
	}
	_, response, err := api.GetRepo(p.owner, p.repository)
	switch {
	case err == nil:
	case codeOf(response) == http.StatusNotFound:
		return fmt.Errorf("%w: the repository %s/%s is not there, or the token may not see it",
			status.ErrUnauthorized, p.owner, p.repository)
	default:
		return nil
	}
	_, response, err = api.GetSingleCommit(p.owner, p.repository, sha)
	if code := codeOf(response); err != nil && (code == http.StatusNotFound || code == http.StatusUnprocessableEntity) {
		return fmt.Errorf("%w: %s/%s has no commit %.12s", status.ErrRejected, p.owner, p.repository, sha)
	}
	return ctx.Err()
}

// explain tells what a failed request means to the Poster. Of the forge's words
// nothing is passed on but its answer to what we sent, without the token.
func (p *Provider) explain(ctx context.Context, response *sdk.Response, err error) error {
	code := codeOf(response)
	if code == 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errors.New(p.clean(err.Error()))
	}
	said := fmt.Errorf("%d %s: %s", code, http.StatusText(code), p.clean(err.Error()))
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: %w", status.ErrUnauthorized, said)
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		if after, ok := status.RetryAfter(response.Header.Get("Retry-After")); ok {
			return &status.RetryAfterError{After: after, Err: said}
		}
		return said
	case code == http.StatusNotFound, code == http.StatusRequestTimeout:
		return said
	case code >= 300 && code < 400:
		return fmt.Errorf("%w: the forge has moved: correct its base URL", said)
	case code >= 400 && code < 500:
		return fmt.Errorf("%w: %w", status.ErrRejected, said)
	}
	return said
}

// clean makes one short line without the token of what a forge said.
func (p *Provider) clean(s string) string { return untrusted.Known(p.secrets).Clean(s, 300) }

func codeOf(r *sdk.Response) int {
	if r == nil || r.Response == nil {
		return 0
	}
	return r.StatusCode
}

func stateOf(s status.State) sdk.StatusState {
	switch s {
	case status.Pending:
		return sdk.StatusPending
	case status.Success:
		return sdk.StatusSuccess
	case status.Failure:
		return sdk.StatusFailure
	}
	return sdk.StatusError
}

// stateFrom reads a state of the forge's. Those we never post mean that somebody
// else posted under our context; a failure is what they come closest to.
func stateFrom(s sdk.StatusState) status.State {
	switch s {
	case sdk.StatusPending:
		return status.Pending
	case sdk.StatusSuccess:
		return status.Success
	case sdk.StatusFailure, sdk.StatusError, sdk.StatusWarning:
		return status.Failure
	}
	return status.Failure
}

// parse takes a repository's URL apart.
func parse(repository string) (base, owner, name string, err error) {
	const want = "want http(s)://HOST/OWNER/NAME, or the forge's base URL, owner and repository"
	u, err := url.Parse(repository)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The URL is not repeated: it may hold a credential.
		return "", "", "", errors.New("the repository's URL does not say which forge to post to: " + want)
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 {
		return "", "", "", fmt.Errorf("the repository's URL %s has no owner and name: %s", u.Host+u.Path, want)
	}
	name = strings.TrimSuffix(parts[len(parts)-1], ".git")
	owner = parts[len(parts)-2]
	root := url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/" + strings.Join(parts[:len(parts)-2], "/")}
	return strings.TrimSuffix(root.String(), "/"), owner, name, nil
}
