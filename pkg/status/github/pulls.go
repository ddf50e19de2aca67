package github

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status"
)

// queuePrefix is the prefix of a merge queue's branches; the name of the target branch
// follows.
const queuePrefix = "gh-readonly-queue/"

// queueBranch is the rest of such a name.
var queueBranch = regexp.MustCompile(`^pr-([0-9]{1,18})-[0-9a-f]+$`)

// asked is the last known state of a branch's pull requests. Losing it only costs
// requests.
type asked struct {
	mu           sync.Mutex // protects what follows
	branch       string
	pulls, queue string // the entity tags of the two answers
}

// Open lists the open pull requests into a branch and the heads of its merge queue,
// newest first.
//
// Two conditional requests show that nothing changed, and count against no limit: one for
// the last changed pull request in any state, and one for the branches of the queue,
// which no pull request shows.
func (r *repository) Open(ctx context.Context, branch string) ([]status.PullRequest, bool, error) {
	r.asked.mu.Lock()
	defer r.asked.mu.Unlock()
	open, changed, err := r.open(ctx, branch)
	if err != nil {
		return nil, false, fmt.Errorf("list pull requests of github: %w", err)
	}
	return open, changed, nil
}

func (r *repository) open(ctx context.Context, branch string) ([]status.PullRequest, bool, error) {
	api, err := r.proof.sdk(ctx)
	if err != nil {
		return nil, false, err
	}
	before := asked{branch: branch}
	if r.asked.branch == branch {
		before.pulls, before.queue = r.asked.pulls, r.asked.queue
	}
	var newest []*sdk.PullRequest
	pulls, pullsChanged, err := r.conditional(ctx, api, "pulls?state=all&sort=updated&direction=desc&per_page=1", before.pulls, &newest)
	if err != nil {
		return nil, false, err
	}
	var refs []*sdk.Reference
	queuePath := fmt.Sprintf("git/matching-refs/heads/%s%s/?per_page=%d", queuePrefix, escaped(branch), pageSize)
	queue, queueChanged, err := r.conditional(ctx, api, queuePath, before.queue, &refs)
	if err != nil {
		return nil, false, err
	}
	if !pullsChanged && !queueChanged {
		return nil, false, nil
	}
	if !queueChanged { // they are part of the result, so request them again
		if queue, _, err = r.conditional(ctx, api, queuePath, "", &refs); err != nil {
			return nil, false, err
		}
	}
	open, err := r.listOpen(ctx, api, branch)
	if err != nil {
		return nil, false, err
	}
	r.asked.branch, r.asked.pulls, r.asked.queue = branch, pulls, queue
	return append(queued(refs, branch), open...), true, nil
}

// conditional requests what changed since the answer with that entity tag. It returns the
// tag of the newest answer.
func (r *repository) conditional(ctx context.Context, api *sdk.Client, path, tag string, into any) (string, bool, error) {
	req, err := api.NewRequest(ctx, http.MethodGet, "repos/"+r.full()+"/"+path, nil)
	if err != nil {
		return "", false, fmt.Errorf("make the request: %w", err)
	}
	if tag != "" {
		req.Header.Set("If-None-Match", tag)
	}
	resp, err := api.Do(req, into)
	switch {
	case codeOf(resp) == http.StatusNotModified:
		return tag, false, nil
	case err != nil:
		return "", false, r.failed(ctx, resp, err)
	}
	return resp.Header.Get("ETag"), true, nil
}

func (r *repository) listOpen(ctx context.Context, api *sdk.Client, branch string) ([]status.PullRequest, error) {
	var open []status.PullRequest
	for page := 1; page <= maxPages; page++ {
		found, resp, err := api.PullRequests.List(ctx, r.owner, r.name, &sdk.PullRequestListOptions{
			State: "open", Base: branch, Sort: "created", Direction: "desc", ListOptions: sdk.ListOptions{Page: page, PerPage: pageSize},
		})
		if err != nil {
			return nil, r.failed(ctx, resp, err)
		}
		for _, p := range found {
			if p.GetHead().GetSHA() == "" || p.GetBase().GetRef() != branch || p.GetState() != "open" {
				continue
			}
			open = append(open, status.PullRequest{
				Number: int64(p.GetNumber()), Title: r.client.Secrets.Clean(p.GetTitle()), Head: p.GetHead().GetSHA(),
				Ref: fmt.Sprintf("refs/pull/%d/head", p.GetNumber()), Base: branch,
				// The repository of a deleted fork is missing.
				Fork:    p.GetHead().GetRepo().GetID() == 0 || p.GetHead().GetRepo().GetID() != p.GetBase().GetRepo().GetID(),
				Version: p.GetUpdatedAt().UTC().String(),
			})
		}
		if resp.NextPage == 0 || len(found) == 0 {
			break
		}
	}
	return newestFirst(open), nil
}

// queued returns the heads of a merge queue among the refs.
func queued(refs []*sdk.Reference, branch string) []status.PullRequest {
	var heads []status.PullRequest
	for _, ref := range refs {
		rest, ours := strings.CutPrefix(ref.GetRef(), "refs/heads/"+queuePrefix+branch+"/")
		number := queueBranch.FindStringSubmatch(rest)
		if !ours || number == nil || ref.GetObject().GetSHA() == "" {
			continue
		}
		n, err := strconv.ParseInt(number[1], 10, 64)
		if err != nil {
			continue // it is no branch of the queue
		}
		heads = append(heads, status.PullRequest{Number: n, Head: ref.GetObject().GetSHA(), Ref: ref.GetRef(), Base: branch, Queued: true})
	}
	return newestFirst(heads)
}

// newestFirst sorts by number, newest first. A page that shifts while it is read repeats
// an entry.
func newestFirst(all []status.PullRequest) []status.PullRequest {
	slices.SortStableFunc(all, func(a, b status.PullRequest) int {
		return cmp.Or(cmp.Compare(b.Number, a.Number), cmp.Compare(a.Ref, b.Ref))
	})
	return slices.CompactFunc(all, func(a, b status.PullRequest) bool { return a.Ref == b.Ref })
}

// escaped returns a branch's name, escaped for a path.
func escaped(branch string) string {
	parts := strings.Split(branch, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
