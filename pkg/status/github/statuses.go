package github

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// Statuses posts commit statuses with a token. It is safe for concurrent use.
type Statuses struct{ repository }

var (
	_ status.Reviewer = (*Statuses)(nil)
	_ status.Prober   = (*Statuses)(nil)
)

// Post records a status on the commit.
func (p *Statuses) Post(ctx context.Context, c status.Commit) error {
	if err := p.post(ctx, c); err != nil {
		return fmt.Errorf("post status to github: %w", err)
	}
	return nil
}

func (p *Statuses) post(ctx context.Context, c status.Commit) error {
	api, err := p.proof.sdk(ctx)
	if err != nil {
		return err
	}
	_, resp, err := api.Repositories.CreateStatus(ctx, p.owner, p.name, c.SHA, sdk.RepoStatus{
		State:       new(states.Of(c.State)),
		TargetURL:   orNone(c.TargetURL),
		Description: new(p.client.Description(c.Description, limit)),
		Context:     new(c.Context),
	})
	if err != nil {
		return p.ofCommit(ctx, resp, err, c.SHA)
	}
	return nil
}

// List returns the commit's statuses under the context, newest first, which is GitHub's
// order.
func (p *Statuses) List(ctx context.Context, sha, statusContext string) ([]status.Commit, error) {
	commits, err := p.list(ctx, sha, statusContext)
	if err != nil {
		return nil, fmt.Errorf("list statuses of github: %w", err)
	}
	return commits, nil
}

func (p *Statuses) list(ctx context.Context, sha, statusContext string) ([]status.Commit, error) {
	api, err := p.proof.sdk(ctx)
	if err != nil {
		return nil, err
	}
	var commits []status.Commit
	for page := 1; page <= maxPages; page++ {
		statuses, resp, err := api.Repositories.ListStatuses(ctx, p.owner, p.name, sha, &sdk.ListOptions{Page: page, PerPage: pageSize})
		if err != nil {
			return nil, p.unlessUnknown(ctx, api, resp, err, sha)
		}
		for _, s := range statuses {
			// GitHub ignores the case of contexts.
			if !strings.EqualFold(s.GetContext(), statusContext) {
				continue
			}
			commits = append(commits, status.Commit{
				SHA: sha, Context: statusContext, State: states.From(s.GetState()),
				Description: p.client.Secrets.Clean(s.GetDescription()), TargetURL: p.client.Secrets.Clean(s.GetTargetURL()),
				Time: s.GetCreatedAt().Time,
			})
		}
		if resp.NextPage == 0 || len(statuses) == 0 {
			break
		}
	}
	return commits, nil
}

// unlessUnknown is failed, but returns nil if the repository exists and the commit does
// not.
func (r *repository) unlessUnknown(ctx context.Context, api *sdk.Client, resp *sdk.Response, err error, sha string) error {
	switch codeOf(resp) {
	case http.StatusUnprocessableEntity:
		if strings.Contains(strings.ToLower(messageOf(err)), "no commit found") {
			return nil
		}
	case http.StatusNotFound:
		_, second, seen := api.Repositories.Get(ctx, r.owner, r.name)
		if seen == nil {
			return nil
		}
		return r.failed(ctx, second, seen)
	}
	return r.ofCommit(ctx, resp, err, sha)
}

// orNone returns nil for an empty string: GitHub accepts a missing URL, but not an empty
// one.
func orNone(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// states are GitHub's words for the states that are posted. Only other clients post its
// fourth, "error".
var states = forgeclient.States[string]{Pending: "pending", Success: "success", Failure: "failure"}
