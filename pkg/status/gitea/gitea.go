// Package gitea posts commit statuses to Gitea and Forgejo.
//
// It takes statuses from the Poster of package post, sends them to the forge's API, and
// returns its answers as errors of package status.
package gitea

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

const (
	// limit is the longest description that the forge's page shows; its database accepts
	// more.
	limit = 255
	// pageSize is the largest page of a forge by default. maxPages is more than the
	// Poster ever posts under one context, times the contexts it may have.
	pageSize = 50
	maxPages = 100
)

// Config names the repository whose commits get the statuses.
type Config struct {
	// Base is the forge's address: "https://git.example". Token returns a token with the
	// scope write:repository.
	forgeclient.Config

	Owner      string
	Repository string
	// Sweep is how often pull requests are checked for comments of ours that another
	// account edited or deleted; zero means five minutes.
	Sweep time.Duration
}

// Provider posts to one repository of a Gitea. It is safe for concurrent use.
type Provider struct {
	owner, repository string
	forge             *forgeclient.Client
	sweep             time.Duration

	reviewing sync.Mutex // protects what follows, and serialises requests about pull requests
	pulls     pulls
	me        account
}

var _ status.Prober = (*Provider)(nil)

// New returns a provider. It makes no request: Probe or the first post shows whether the
// forge answers and the token is valid.
func New(c Config) (*Provider, error) {
	if c.Owner == "" || c.Repository == "" {
		return nil, errors.New("the forge needs the repository's owner and name")
	}
	forge, err := forgeclient.New(c.Config)
	if err != nil {
		return nil, err
	}
	return &Provider{owner: c.Owner, repository: c.Repository, forge: forge, sweep: cmp.Or(c.Sweep, sweepEvery)}, nil
}

// Name is "gitea".
func (p *Provider) Name() string { return "gitea" }

// Limit is the longest description that the forge shows.
func (p *Provider) Limit() int { return limit }

// Post records a status on the commit.
func (p *Provider) Post(ctx context.Context, c status.Commit) error {
	api, err := p.api(ctx)
	if err != nil {
		return fmt.Errorf("post status to gitea: %w", err)
	}
	_, response, err := api.CreateStatus(p.owner, p.repository, c.SHA, sdk.CreateStatusOption{
		State:       states.Of(c.State),
		TargetURL:   c.TargetURL,
		Description: p.forge.Description(c.Description, limit),
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

// List returns the commit's statuses under the context, newest first.
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
				SHA: sha, Context: s.Context, State: states.From(s.State), Description: p.forge.Secrets.Clean(s.Description),
				TargetURL: p.forge.Secrets.Clean(s.TargetURL), Time: s.Created,
			}})
		}
		// A forge may return fewer items than requested, so only its own statement that
		// there is no further page counts.
		if response.NextPage == 0 || len(statuses) == 0 {
			break
		}
	}
	// Their times have a resolution of seconds, so their numbers determine the order.
	slices.SortFunc(found, func(a, b numbered) int { return cmp.Compare(b.id, a.id) })
	commits := make([]status.Commit, 0, len(found))
	for _, f := range found {
		commits = append(commits, f.Commit)
	}
	return commits, nil
}

// api returns a client for one call. The SDK's client is only a struct, which holds the
// context and the token of the call. An empty version stops it from requesting the
// forge's version.
func (p *Provider) api(ctx context.Context) (*sdk.Client, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	token, err := p.forge.Token()
	if err != nil {
		return nil, err
	}
	api, err := sdk.NewClient(p.forge.Base, sdk.SetContext(ctx), sdk.SetToken(token),
		sdk.SetHTTPClient(p.forge.HTTP), sdk.SetGiteaVersion(""), sdk.SetUserAgent("fedsync"))
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return api, nil
}

// unknown resolves the two meanings of a failed request about a commit. Gitea answers 500
// for a commit it does not have, and 404 both for that and for a repository that the
// token may not see. unknown returns nil if the commit is not the reason.
func (p *Provider) unknown(ctx context.Context, api *sdk.Client, failed *sdk.Response, sha string) error {
	if code := codeOf(failed); code != http.StatusNotFound && code != http.StatusInternalServerError {
		return nil
	}
	_, response, err := api.GetRepo(p.owner, p.repository)
	switch {
	case err == nil:
	case codeOf(response) == http.StatusNotFound:
		return p.forge.Missing(p.owner + "/" + p.repository)
	default:
		return nil
	}
	_, response, err = api.GetSingleCommit(p.owner, p.repository, sha)
	if code := codeOf(response); err != nil && (code == http.StatusNotFound || code == http.StatusUnprocessableEntity) {
		return p.forge.UnknownCommit(p.owner+"/"+p.repository, sha)
	}
	return ctx.Err()
}

// explain returns the meaning of a failed request for the Poster. It includes only the
// forge's answer, without the token.
func (p *Provider) explain(ctx context.Context, response *sdk.Response, err error) error {
	code := codeOf(response)
	switch {
	case code == 0:
		return p.forge.Unanswered(ctx, err)
	case code >= 300 && code < 400:
		return p.moved(ctx)
	}
	return p.forge.Explain(code, response.Header, err.Error())
}

func codeOf(r *sdk.Response) int {
	if r == nil || r.Response == nil {
		return 0
	}
	return r.StatusCode
}

// states are Gitea's words for the states that are posted. It also has "error" and
// "warning".
var states = forgeclient.States[sdk.StatusState]{Pending: sdk.StatusPending, Success: sdk.StatusSuccess, Failure: sdk.StatusFailure}
