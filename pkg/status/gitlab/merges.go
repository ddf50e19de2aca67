package gitlab

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	sdk "gitlab.com/gitlab-org/api/client-go"

	"github.com/fedsync/fedsync/pkg/status"
)

const (
	// maxMerges is how many pages of open merge requests are read, newest first.
	maxMerges = 20
	// recent is how many of the last changed merge requests are compared to detect a
	// change.
	recent = 20
)

// merges is the last known state of a branch's open merge requests.
type merges struct {
	branch, etag string
	heads        map[string]int64 // number of the newest merge request of a head
}

// place is where a commit's status belongs.
type place struct {
	ref      string
	pipeline int64 // 0 means the newest of the commit and ref
}

// place returns where a commit's status belongs. It asks each time whether the commit is
// still a merge request's: after a merge it is the branch's.
func (p *Provider) place(ctx context.Context, sha string) (place, error) {
	if number, ok := p.merges.heads[sha]; ok {
		merge, response, err := p.api.MergeRequests.GetMergeRequest(p.project, number, nil, sdk.WithContext(ctx))
		switch {
		case err != nil && codeOf(response) != http.StatusNotFound:
			return place{}, p.explain(ctx, response, err, "")
		case err == nil && merge.State == "opened" && merge.SHA == sha:
			return placeOf(merge), nil
		}
	}
	return p.followed(ctx)
}

// followed returns the synced branch or tag.
func (p *Provider) followed(ctx context.Context) (place, error) {
	if p.ref != "" && p.ref != "HEAD" {
		return place{ref: p.ref}, nil
	}
	project, response, err := p.api.Projects.GetProject(p.project, nil, sdk.WithContext(ctx))
	if err != nil {
		return place{}, p.explain(ctx, response, err, "")
	}
	return place{ref: project.DefaultBranch}, nil
}

// placeOf returns where the status of a merge request's head belongs. The head pipeline
// may have a ref of its own. It does not count if it is of another commit, that of a
// merged result.
func placeOf(merge *sdk.MergeRequest) place {
	if p := merge.HeadPipeline; p != nil && p.ID != 0 && p.SHA == merge.SHA {
		return place{ref: cmp.Or(p.Ref, merge.SourceBranch), pipeline: p.ID}
	}
	return place{ref: merge.SourceBranch}
}

// Open lists the open merge requests into a branch, newest first.
//
// GitLab's list of the last changed merge requests, in any state, is the same only if
// none changed, so one conditional request suffices.
func (p *Provider) Open(ctx context.Context, branch string) ([]status.PullRequest, bool, error) {
	etag, changed, err := p.changed(ctx, branch)
	if err != nil || !changed {
		return nil, false, wrapMerges(err)
	}
	state, order := "opened", "created_at"
	var found []*sdk.BasicMergeRequest
	for page := int64(1); page <= maxMerges; page++ {
		merges, response, err := p.listMerges(ctx, &sdk.ListProjectMergeRequestsOptions{
			ListOptions: sdk.ListOptions{Page: page, PerPage: pageSize}, State: &state, TargetBranch: &branch, OrderBy: &order,
		})
		if err != nil {
			return nil, false, wrapMerges(p.explain(ctx, response, err, ""))
		}
		found = append(found, merges...)
		if response.NextPage == 0 || len(merges) == 0 {
			break
		}
	}
	open := p.pullRequests(found, branch)
	p.merges = merges{branch: branch, etag: etag, heads: map[string]int64{}}
	for _, m := range slices.Backward(open) { // the newest wins
		p.merges.heads[m.Head] = m.Number
	}
	return open, true, nil
}

// changed reports whether a merge request into the branch may have changed since Open
// last returned them, and returns the ETag for the next request.
func (p *Provider) changed(ctx context.Context, branch string) (etag string, changed bool, err error) {
	var only []sdk.RequestOptionFunc
	if p.merges.branch == branch && p.merges.etag != "" {
		only = append(only, sdk.WithHeader("If-None-Match", p.merges.etag))
	}
	state, order := "all", "updated_at"
	_, response, err := p.listMerges(ctx, &sdk.ListProjectMergeRequestsOptions{
		ListOptions: sdk.ListOptions{Page: 1, PerPage: recent}, State: &state, TargetBranch: &branch, OrderBy: &order,
	}, only...)
	if codeOf(response) == http.StatusNotModified { // its body is empty, so the library fails to decode it
		return "", false, nil
	}
	if err != nil {
		return "", false, p.explain(ctx, response, err, "")
	}
	return response.Header.Get("ETag"), true, nil
}

func (p *Provider) listMerges(
	ctx context.Context, o *sdk.ListProjectMergeRequestsOptions, more ...sdk.RequestOptionFunc,
) ([]*sdk.BasicMergeRequest, *sdk.Response, error) {
	sort := "desc"
	o.Sort = &sort
	return p.api.MergeRequests.ListProjectMergeRequests(p.project, o, append(more, sdk.WithContext(ctx))...)
}

// pullRequests returns the merge requests that match the request.
func (p *Provider) pullRequests(found []*sdk.BasicMergeRequest, branch string) []status.PullRequest {
	var open []status.PullRequest
	for _, m := range found {
		if m == nil || m.SHA == "" || m.TargetBranch != branch || m.State != "opened" {
			continue
		}
		open = append(open, status.PullRequest{
			Number: m.IID, Title: p.client.Secrets.Clean(m.Title), Head: m.SHA, Ref: fmt.Sprintf("refs/merge-requests/%d/head", m.IID),
			Base: m.TargetBranch, Fork: m.SourceProjectID != m.TargetProjectID, Version: version(m),
		})
	}
	// A page that shifts while it is read repeats an entry.
	slices.SortFunc(open, func(a, b status.PullRequest) int { return cmp.Compare(b.Number, a.Number) })
	return slices.CompactFunc(open, func(a, b status.PullRequest) bool { return a.Number == b.Number })
}

func version(m *sdk.BasicMergeRequest) string {
	if m.UpdatedAt == nil {
		return ""
	}
	return m.UpdatedAt.UTC().String()
}

func wrapMerges(err error) error {
	if err != nil {
		return fmt.Errorf("list merge requests of gitlab: %w", err)
	}
	return nil
}
