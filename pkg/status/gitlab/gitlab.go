// Package gitlab posts commit statuses to GitLab, and comments on its merge requests.
//
// It takes statuses from the Poster of package post, sends them to GitLab's API, and
// returns its answers as errors of package status.
//
// In GitLab a commit status is a job of a pipeline. It belongs to the newest pipeline of
// its commit and ref, so the ref is always sent; for a merge request's commit it belongs
// to the merge request's own pipeline. If there is no pipeline, GitLab creates one with
// the source "external". While a job is pending its description cannot change.
package gitlab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	sdk "gitlab.com/gitlab-org/api/client-go"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

const (
	// limit is the longest description, and maxURL the longest target URL, that GitLab
	// accepts.
	limit  = 255
	maxURL = 255
	// pageSize is the largest page of GitLab, and maxPages is more than the Poster ever
	// posts under one context.
	pageSize = 100
	maxPages = 50
)

// Config names the project whose commits get the statuses.
type Config struct {
	// Base is GitLab's address: "https://gitlab.com". Token returns a token with the
	// scope api.
	forgeclient.Config

	Project string // its full path, with all its groups: "team/edge/web"
	// Ref is the synced branch or tag, to which its commits' statuses belong. Empty means
	// the project's default branch.
	Ref string
}

// Provider posts to one project of a GitLab. It is used by one goroutine at a time.
type Provider struct {
	client       *forgeclient.Client
	api          *sdk.Client
	project, ref string
	tag          bool // ref is a tag
	merges       merges
}

var _ status.Reviewer = (*Provider)(nil)

// New returns a provider. It makes no request: the first post shows whether GitLab
// answers and the token is valid.
func New(c Config) (*Provider, error) {
	client, err := forgeclient.New(c.Config)
	if err != nil {
		return nil, err
	}
	project := strings.Trim(c.Project, "/")
	if !strings.Contains(project, "/") {
		return nil, errors.New("GitLab needs the project's full path: GROUP/NAME, or GROUP/SUBGROUP/NAME")
	}
	web := *client.HTTP
	web.Transport = withoutLinks{web.Transport}
	// The Poster retries, paces and logs, so the library must not.
	api, err := sdk.NewAuthSourceClient(bearer{client}, sdk.WithBaseURL(client.Base), sdk.WithHTTPClient(&web),
		sdk.WithoutRetries(), sdk.WithCustomLimiter(unlimited{}), sdk.WithUserAgent("fedsync"),
		sdk.WithURLWarningLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, errors.New("the forge's base URL must be like https://gitlab.example")
	}
	tag := strings.HasPrefix(c.Ref, "refs/tags/")
	ref := strings.TrimPrefix(strings.TrimPrefix(c.Ref, "refs/heads/"), "refs/tags/")
	return &Provider{client: client, api: api, project: project, ref: ref, tag: tag}, nil
}

// bearer authenticates requests with the token that is valid now.
type bearer struct{ client *forgeclient.Client }

// Init implements the library's AuthSource.
func (bearer) Init(context.Context, *sdk.Client) error { return nil }

// Header implements the library's AuthSource. GitLab accepts every kind of token in this
// header, and the transport keeps its value secret.
func (b bearer) Header(context.Context) (key, value string, err error) {
	token, err := b.client.Token()
	return "Authorization", "Bearer " + token, err
}

// withoutLinks removes the header Link from answers. The library's parser panics on an
// unexpected one, and another header names the next page.
type withoutLinks struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t withoutLinks) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		resp.Header.Del("Link")
	}
	return resp, err
}

type unlimited struct{}

// Wait implements the library's RateLimiter.
func (unlimited) Wait(ctx context.Context) error { return ctx.Err() }

// Name is "gitlab".
func (p *Provider) Name() string { return "gitlab" }

// Limit is the longest description that GitLab accepts.
func (p *Provider) Limit() int { return limit }

// Post records a status on the commit.
func (p *Provider) Post(ctx context.Context, c status.Commit) error {
	if err := p.post(ctx, c); err != nil {
		return fmt.Errorf("post status to gitlab: %w", err)
	}
	return nil
}

func (p *Provider) post(ctx context.Context, c status.Commit) error {
	options, err := p.options(ctx, c)
	if err != nil {
		return err
	}
	response, err := p.set(ctx, c.SHA, options)
	from, stuck := stuckIn(response, err)
	if stuck && c.State == status.Pending && from == sdk.Pending {
		// A pending job can change its description only once: when it starts to run.
		options.State = sdk.Running
		response, err = p.set(ctx, c.SHA, options)
		from, stuck = stuckIn(response, err)
	}
	if err == nil || stuck && stateFrom(string(from)) == c.State {
		return nil
	}
	return p.explain(ctx, response, err, c.SHA)
}

func (p *Provider) options(ctx context.Context, c status.Commit) (*sdk.SetCommitStatusOptions, error) {
	at, err := p.place(ctx, c.SHA)
	if err != nil {
		return nil, err
	}
	options := &sdk.SetCommitStatusOptions{State: states.Of(c.State), Name: &c.Context, Ref: &at.ref}
	if at.pipeline != 0 {
		options.PipelineID = &at.pipeline
	}
	if words := p.client.Description(c.Description, limit); words != "" {
		options.Description = &words
	}
	// A status without a link is better than none.
	if c.TargetURL != "" && len(c.TargetURL) <= maxURL {
		options.TargetURL = &c.TargetURL
	}
	return options, nil
}

func (p *Provider) set(ctx context.Context, sha string, o *sdk.SetCommitStatusOptions) (*sdk.Response, error) {
	_, response, err := p.api.Commits.SetCommitStatus(p.project, sha, o, sdk.WithContext(ctx))
	return response, err
}

// List returns the commit's statuses under the context, in any pipeline, newest first.
func (p *Provider) List(ctx context.Context, sha, statusContext string) ([]status.Commit, error) {
	var found []*sdk.CommitStatus
	all := true
	for page := int64(1); page <= maxPages; page++ {
		statuses, response, err := p.api.Commits.GetCommitStatuses(p.project, sha, &sdk.GetCommitStatusesOptions{
			ListOptions: sdk.ListOptions{Page: page, PerPage: pageSize}, Name: &statusContext, All: &all,
		}, sdk.WithContext(ctx))
		if err != nil {
			err = p.explain(ctx, response, err, sha)
			if codeOf(response) == http.StatusNotFound && errors.Is(err, status.ErrRejected) {
				return nil, nil // it does not know the commit
			}
			return nil, fmt.Errorf("list statuses of gitlab: %w", err)
		}
		for _, s := range statuses {
			if s != nil && s.Name == statusContext {
				found = append(found, s)
			}
		}
		if response.NextPage == 0 || len(statuses) == 0 {
			break
		}
	}
	slices.SortFunc(found, func(a, b *sdk.CommitStatus) int { return cmp.Compare(b.ID, a.ID) })
	commits := make([]status.Commit, 0, len(found))
	for _, s := range found {
		commits = append(commits, status.Commit{
			SHA: sha, Context: s.Name, State: stateFrom(s.Status), Description: p.client.Secrets.Clean(s.Description),
			TargetURL: p.client.Secrets.Clean(s.TargetURL), Time: lastOf(s.CreatedAt, s.StartedAt, s.FinishedAt),
		})
	}
	return commits, nil
}
