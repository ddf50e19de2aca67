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
	"slices"
	"sync"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
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
)

// Config says which repository's commits get the statuses.
type Config struct {
	// Base is the forge's address: "https://git.example". Token gives a token with the
	// scope write:repository.
	forgeclient.Config

	Owner      string
	Repository string
	// Sweep is how often pull requests are looked at for comments of ours that somebody
	// edited or deleted; five minutes when zero.
	Sweep time.Duration
}

// Provider posts to one repository of a Gitea. It is safe for concurrent use.
type Provider struct {
	owner, repository string
	forge             *forgeclient.Client
	sweep             time.Duration

	reviewing sync.Mutex // protects what follows, and that one look is made at a time
	pulls     pulls
	me        account
}

var _ status.Prober = (*Provider)(nil)

// New makes a provider. It makes no request: whether the forge answers and the
// token is good shows when the first status is posted, or by Probe.
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

// Limit is how much of a description the forge shows.
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
				SHA: sha, Context: s.Context, State: states.From(s.State), Description: p.forge.Secrets.Clean(s.Description),
				TargetURL: p.forge.Secrets.Clean(s.TargetURL), Time: s.Created,
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

// explain tells what a failed request means to the Poster. Of the forge's words
// nothing is passed on but its answer to what we sent, without the token.
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

// states are Gitea's words. It has "error" and "warning" besides.
var states = forgeclient.States[sdk.StatusState]{Pending: sdk.StatusPending, Success: sdk.StatusSuccess, Failure: sdk.StatusFailure}
