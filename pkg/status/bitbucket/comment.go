package bitbucket

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

const (
	// maxComment is the longest comment that Bitbucket accepts, in characters.
	maxComment = 32_768
	// commentPages is how many pages of comments are searched for ours, oldest first.
	commentPages = 20
	commentSize  = 100
)

// comment is a comment in Bitbucket's format.
type comment struct {
	ID      int64   `json:"id,omitempty"`
	Content content `json:"content"`
	User    *user   `json:"user,omitempty"`
	Deleted bool    `json:"deleted,omitempty"`
}

type content struct {
	Raw string `json:"raw"`
}

type user struct {
	UUID string `json:"uuid"`
}

// Comment makes text the only comment of ours on a pull request.
func (p *Provider) Comment(ctx context.Context, number int64, marker, text string) error {
	if err := p.comment(ctx, number, marker, text); err != nil {
		return fmt.Errorf("comment on bitbucket's pull request %d: %w", number, err)
	}
	return nil
}

func (p *Provider) comment(ctx context.Context, number int64, marker, text string) error {
	first := hidden(marker)
	body := untrusted.Shorten(first+"\n\n"+text, maxComment)
	ours, err := p.ours(ctx, number, first)
	if err != nil {
		return err
	}
	for _, c := range ours {
		if text != "" && c.Content.Raw == body {
			return nil
		}
		method, path := http.MethodPut, p.comments(number)+"/"+strconv.FormatInt(c.ID, 10)
		r := forgeclient.Request{Method: method, Path: path, Body: comment{Content: content{body}}}
		if text == "" {
			r = forgeclient.Request{Method: http.MethodDelete, Path: path}
		}
		err := p.do(ctx, r, "")
		if isRefusal(err, http.StatusForbidden, http.StatusNotFound) {
			continue // it is another account's, or gone
		}
		return err
	}
	if text == "" {
		return nil
	}
	return p.do(ctx, forgeclient.Request{Method: http.MethodPost, Path: p.comments(number), Body: comment{Content: content{body}}}, "")
}

func (p *Provider) comments(number int64) string {
	return p.path + "/pullrequests/" + strconv.FormatInt(number, 10) + "/comments"
}

// hidden formats a marker so that Bitbucket does not show it: as the target of an unused
// link. Bitbucket would show an HTML comment as text.
func hidden(marker string) string {
	text := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(marker, "<!--"), "-->"))
	return "[//]: # (" + strings.NewReplacer("(", "", ")", "", "\n", " ").Replace(text) + ")"
}

// ours returns the comments that begin with the marker and may be our account's. An
// access token may not be allowed to ask for its account. Then all of them are tried,
// because no account may edit another's comment.
func (p *Provider) ours(ctx context.Context, number int64, first string) ([]comment, error) {
	self, err := p.self(ctx)
	if err != nil {
		return nil, err
	}
	var ours []comment
	for n := 1; n <= commentPages; n++ {
		query := url.Values{"page": {strconv.Itoa(n)}, "pagelen": {strconv.Itoa(commentSize)}, "sort": {"created_on"}}
		var list struct {
			Values []comment `json:"values"`
			Next   string    `json:"next"`
		}
		err := p.do(ctx, forgeclient.Request{Method: http.MethodGet, Path: p.comments(number) + "?" + query.Encode(), Into: &list}, "")
		if err != nil {
			return nil, err
		}
		for _, c := range list.Values {
			line, _, _ := strings.Cut(c.Content.Raw, "\n")
			if !c.Deleted && strings.TrimSpace(line) == first && (self == "" || c.User != nil && c.User.UUID == self) {
				ours = append(ours, c)
			}
		}
		if list.Next == "" || len(list.Values) == 0 {
			break
		}
	}
	return ours, nil
}

// self returns the UUID of the token's account; empty if the token may not ask for it.
func (p *Provider) self(ctx context.Context) (string, error) {
	var self user
	err := p.do(ctx, forgeclient.Request{Method: http.MethodGet, Path: "/2.0/user", Into: &self}, "")
	if isRefusal(err, http.StatusForbidden) {
		return "", nil
	}
	return self.UUID, err
}
