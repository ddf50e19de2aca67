package gitea

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/status"
)

const (
	// pollSize is how many of the last changed pull requests a poll reads. More changes
	// between two polls cost a full listing.
	pollSize = 10
	// maxPulls is how many open pull requests are listed.
	maxPulls = 1000
	// sameMoment is how close two changes may be for the forge to report the same time,
	// in whole seconds, including the delay until its clock is read.
	sameMoment = 2 * time.Second
	// sweepEvery is how often all open pull requests and the changed comments are listed:
	// when a comment is edited or deleted, Gitea does not change the time of its pull
	// request.
	sweepEvery = 5 * time.Minute
	maxTitle   = 200
)

// pulls is the known state of a repository's pull requests.
type pulls struct {
	branch string
	open   map[int64]status.PullRequest // into the branch, by number
	poll   string                       // what the last poll showed
	newest time.Time                    // the time of the last change
	again  bool                         // something may have changed at the same moment, after the poll

	sweptAt time.Time       // when all were last listed
	since   time.Time       // the same, by the forge's clock
	edited  map[int64]int64 // when our comments were last changed, by pull request
}

// account is the account of a token.
type account struct {
	token [sha256.Size]byte // its digest
	id    int64
}

var _ status.Reviewer = (*Provider)(nil)

// Open lists the open pull requests into a branch, newest first. Gitea has no ETag that
// shows whether something changed, so each call polls: it reads one page of the last
// changed pull requests, open or not.
func (p *Provider) Open(ctx context.Context, branch string) (open []status.PullRequest, changed bool, err error) {
	p.reviewing.Lock()
	defer p.reviewing.Unlock()
	api, err := p.api(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("list pull requests of gitea: %w", err)
	}
	found, response, err := api.ListRepoPullRequests(p.owner, p.repository, sdk.ListPullRequestsOptions{
		ListOptions: sdk.ListOptions{Page: 1, PageSize: pollSize}, State: sdk.StateAll, Sort: "recentupdate",
	})
	if err != nil {
		return nil, false, fmt.Errorf("list pull requests of gitea: %w", p.explain(ctx, response, err))
	}
	known := p.pulls
	next := known
	next.branch, next.poll, next.newest, next.again = branch, shown(found, response), newestOf(found), recent(found, response)
	first := known.open == nil || known.branch != branch
	sweep := first || time.Since(known.sweptAt) >= p.sweep
	if !sweep && !known.again && known.poll == next.poll {
		return nil, false, nil
	}
	if sweep {
		next.sweptAt, next.since = time.Now(), clock(response).Add(-sameMoment)
		next.edited, err = p.edited(ctx, api, known)
	}
	switch {
	case err != nil:
	case sweep || known.again || !covers(found, response, known.newest):
		next.open, err = p.list(ctx, api, next)
	default:
		next.open = next.with(known.open, found)
	}
	if err != nil {
		return nil, false, err
	}
	p.pulls = next
	if !first && maps.Equal(known.open, next.open) {
		return nil, false, nil
	}
	return slices.SortedFunc(maps.Values(next.open), func(a, b status.PullRequest) int { return cmp.Compare(b.Number, a.Number) }), true, nil
}

// list reads all open pull requests.
func (p *Provider) list(ctx context.Context, api *sdk.Client, its pulls) (map[int64]status.PullRequest, error) {
	open := map[int64]status.PullRequest{}
	for page := 1; page <= maxPulls/pageSize; page++ {
		found, response, err := api.ListRepoPullRequests(p.owner, p.repository, sdk.ListPullRequestsOptions{
			ListOptions: sdk.ListOptions{Page: page, PageSize: pageSize}, State: sdk.StateOpen,
		})
		if err != nil {
			return nil, fmt.Errorf("list pull requests of gitea: %w", p.explain(ctx, response, err))
		}
		open = its.with(open, found)
		if response.NextPage == 0 || len(found) == 0 {
			break
		}
	}
	return open, nil
}

// with returns the open pull requests: the known ones, updated by those found since.
func (p pulls) with(known map[int64]status.PullRequest, found []*sdk.PullRequest) map[int64]status.PullRequest {
	open := maps.Clone(known)
	for _, pr := range found {
		if pr == nil {
			continue
		}
		delete(open, pr.Index)
		if pr.State == sdk.StateOpen && pr.Index > 0 && pr.Base != nil && pr.Base.Ref == p.branch && pr.Head != nil && isCommit(pr.Head.Sha) {
			open[pr.Index] = status.PullRequest{
				Number: pr.Index, Title: untrusted.Clean(pr.Title, maxTitle),
				Head: pr.Head.Sha, Ref: fmt.Sprintf("refs/pull/%d/head", pr.Index), Base: p.branch,
				Fork:    pr.Head.RepoID != pr.Base.RepoID, // -1 where it was deleted
				Version: fmt.Sprintf("%d %d %d", updated(pr).Unix(), pr.Comments, p.edited[pr.Index]),
			}
		}
	}
	return open
}

// edited returns when comments of ours were last changed, by the number of their pull
// request.
func (p *Provider) edited(ctx context.Context, api *sdk.Client, known pulls) (map[int64]int64, error) {
	if p.me.id == 0 {
		return nil, nil //nolint:nilnil // we have written nothing yet
	}
	edited := map[int64]int64{}
	for page := 1; page <= maxPulls/pageSize; page++ {
		found, response, err := api.ListRepoIssueComments(p.owner, p.repository, sdk.ListIssueCommentOptions{
			ListOptions: sdk.ListOptions{Page: page, PageSize: pageSize}, Since: known.since,
		})
		if err != nil {
			return nil, fmt.Errorf("list comments of gitea: %w", p.explain(ctx, response, err))
		}
		for _, c := range found {
			if c == nil {
				continue
			}
			if number, ours := numberOf(c), c.Poster != nil && c.Poster.ID == p.me.id; ours && known.open[number].Number != 0 {
				edited[number] = max(edited[number], c.Updated.Unix())
			}
		}
		if response.NextPage == 0 || len(found) == 0 {
			break
		}
	}
	for number, at := range known.edited {
		if known.open[number].Number != 0 {
			edited[number] = max(edited[number], at)
		}
	}
	return edited, nil
}

// numberOf returns the number of a comment's pull request; 0 if it is unknown.
func numberOf(c *sdk.Comment) int64 {
	n, _ := strconv.ParseInt(path.Base(cmp.Or(c.PRURL, c.IssueURL)), 10, 64)
	return n
}

func isCommit(sha string) bool { return len(sha) == 40 && strings.Trim(sha, "0123456789abcdef") == "" }

// shown formats the result of a poll as one line.
func shown(found []*sdk.PullRequest, response *sdk.Response) string {
	var b strings.Builder
	b.WriteString(response.Header.Get("X-Total-Count"))
	for _, pr := range found {
		if pr == nil || pr.Head == nil || pr.Base == nil {
			continue
		}
		fmt.Fprintf(&b, " %d %s %s %q %d %d %q", pr.Index, pr.State, pr.Head.Sha, pr.Base.Ref, pr.Head.RepoID, updated(pr).Unix(), pr.Title)
	}
	return b.String()
}

func updated(pr *sdk.PullRequest) time.Time {
	if pr == nil || pr.Updated == nil {
		return time.Time{}
	}
	return *pr.Updated
}

func newestOf(found []*sdk.PullRequest) time.Time {
	if len(found) == 0 {
		return time.Time{}
	}
	return updated(found[0])
}

// covers reports whether a poll shows everything that changed since some time.
func covers(found []*sdk.PullRequest, response *sdk.Response, since time.Time) bool {
	return response.NextPage == 0 || len(found) == 0 || updated(found[len(found)-1]).Before(since)
}

// recent reports whether something changed so shortly before the poll, by the forge's own
// clock, that a later change may have the same time.
func recent(found []*sdk.PullRequest, response *sdk.Response) bool {
	return len(found) > 0 && clock(response).Sub(newestOf(found)) < sameMoment
}

// clock returns the forge's time; zero if the answer has none.
func clock(response *sdk.Response) time.Time {
	now, _ := http.ParseTime(response.Header.Get("Date"))
	return now
}

// cleared replaces the text of a comment that no longer applies.
const cleared = "_This no longer applies._"

// Comment makes text the only comment of ours on a pull request.
func (p *Provider) Comment(ctx context.Context, number int64, marker, text string) error {
	p.reviewing.Lock()
	defer p.reviewing.Unlock()
	err := p.comment(ctx, number, marker, text)
	if err != nil {
		return fmt.Errorf("comment on pull request %d of gitea: %w", number, err)
	}
	return nil
}

func (p *Provider) comment(ctx context.Context, number int64, marker, text string) error {
	api, err := p.api(ctx)
	if err != nil {
		return err
	}
	ours, err := p.ours(ctx, api, number, marker)
	if err != nil {
		return err
	}
	body := marker + "\n" + p.forge.Secrets.Clean(text)
	if text == "" {
		body = marker + "\n" + cleared
	}
	if len(ours) == 0 && text == "" {
		return nil
	}
	if len(ours) == 0 {
		_, response, err := api.CreateIssueComment(p.owner, p.repository, number, sdk.CreateIssueCommentOption{Body: body})
		return p.commented(ctx, response, err)
	}
	// A process that was killed may have added a second comment late.
	for _, c := range ours[1:] {
		if response, err := api.DeleteIssueComment(p.owner, p.repository, c.ID); codeOf(response) != http.StatusNotFound && err != nil {
			return p.commented(ctx, response, err)
		}
	}
	if strings.TrimSpace(ours[0].Body) == strings.TrimSpace(body) {
		return nil
	}
	_, response, err := api.EditIssueComment(p.owner, p.repository, ours[0].ID, sdk.EditIssueCommentOption{Body: body})
	return p.commented(ctx, response, err)
}

// ours lists the comments that begin with the marker and that our account wrote. Anyone
// can write a marker, so the author counts.
func (p *Provider) ours(ctx context.Context, api *sdk.Client, number int64, marker string) ([]*sdk.Comment, error) {
	me, err := p.account(ctx, api)
	if err != nil {
		return nil, err
	}
	all, response, err := api.ListIssueComments(p.owner, p.repository, number, sdk.ListIssueCommentOptions{})
	if err != nil {
		return nil, p.explain(ctx, response, err)
	}
	return slices.DeleteFunc(all, func(c *sdk.Comment) bool {
		return c == nil || c.Poster == nil || c.Poster.ID != me || !begins(c.Body, marker)
	}), nil
}

// account returns the number of the token's account. It is requested once for each token.
func (p *Provider) account(ctx context.Context, api *sdk.Client) (int64, error) {
	token, err := p.forge.Token()
	if err != nil {
		return 0, err
	}
	its := sha256.Sum256([]byte(token))
	if p.me.id != 0 && p.me.token == its {
		return p.me.id, nil
	}
	user, response, err := api.GetMyUserInfo()
	if err != nil {
		err = p.explain(ctx, response, err)
		if codeOf(response) == http.StatusForbidden {
			err = fmt.Errorf("%w: the token needs the scope read:user to recognise fedsync's own comment", err)
		}
		return 0, err
	}
	if user == nil || user.ID == 0 {
		return 0, errors.New("the forge does not report the token's account")
	}
	p.me = account{its, user.ID}
	return user.ID, nil
}

func (p *Provider) commented(ctx context.Context, response *sdk.Response, err error) error {
	if err == nil {
		return nil
	}
	explained := p.explain(ctx, response, err)
	if codeOf(response) == http.StatusForbidden {
		return fmt.Errorf("%w: the token needs the scope write:issue", explained)
	}
	return explained
}

// begins reports whether a text's first line is the marker.
func begins(text, marker string) bool {
	first, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(first) == marker
}
