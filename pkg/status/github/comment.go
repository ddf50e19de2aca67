package github

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/internal/untrusted"
)

// maxComment is the longest comment that GitHub accepts, in characters. We count bytes,
// which are at least as many.
const maxComment = 65_536

// Comment makes text the only comment of ours on a pull request.
func (r *repository) Comment(ctx context.Context, number int64, marker, text string) error {
	if err := r.comment(ctx, int(number), marker, text); err != nil {
		return fmt.Errorf("comment on github's pull request %d: %w", number, err)
	}
	return nil
}

func (r *repository) comment(ctx context.Context, number int, marker, text string) error {
	api, err := r.proof.sdk(ctx)
	if err != nil {
		return err
	}
	existing, err := r.ours(ctx, api, number, marker)
	if err != nil {
		return err
	}
	body := &sdk.IssueComment{Body: new(untrusted.Shorten(marker+"\n"+text, maxComment))}
	var resp *sdk.Response
	switch {
	case text == "" && existing == nil, existing != nil && text != "" && same(existing.GetBody(), *body.Body):
		return nil
	case text == "":
		if resp, err = api.Issues.DeleteComment(ctx, r.owner, r.name, existing.GetID()); codeOf(resp) == http.StatusNotFound {
			return nil // it is gone already
		}
	case existing == nil:
		_, resp, err = api.Issues.CreateComment(ctx, r.owner, r.name, number, body)
	default:
		_, resp, err = api.Issues.EditComment(ctx, r.owner, r.name, existing.GetID(), body)
	}
	if err != nil {
		return r.failed(ctx, resp, err)
	}
	return nil
}

// same reports whether two comments are equal: GitHub may store CRLF line ends.
func same(a, b string) bool {
	return strings.TrimSpace(strings.ReplaceAll(a, "\r\n", "\n")) == strings.TrimSpace(b)
}

// ours returns the comment that begins with the marker and that our account wrote; nil if
// there is none. Anyone can write a marker, so the author counts.
func (r *repository) ours(ctx context.Context, api *sdk.Client, number int, marker string) (*sdk.IssueComment, error) {
	us, err := r.proof.account(ctx, api)
	if err != nil {
		return nil, err
	}
	for page := 1; page <= maxPages; page++ {
		comments, resp, err := api.Issues.ListComments(ctx, r.owner, r.name, number, &sdk.IssueListCommentsOptions{
			ListOptions: sdk.ListOptions{Page: page, PerPage: pageSize},
		})
		if err != nil {
			return nil, r.failed(ctx, resp, err)
		}
		for _, c := range comments {
			if first, _, _ := strings.Cut(c.GetBody(), "\n"); strings.TrimSpace(first) == marker && us.wrote(c) {
				return c, nil
			}
		}
		if resp.NextPage == 0 || len(comments) == 0 {
			break
		}
	}
	return nil, nil //nolint:nilnil // There is none.
}
