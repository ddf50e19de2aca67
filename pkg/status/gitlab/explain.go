package gitlab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	sdk "gitlab.com/gitlab-org/api/client-go"

	"github.com/fedsync/fedsync/pkg/status"
)

func codeOf(r *sdk.Response) int {
	if r == nil || r.Response == nil {
		return 0
	}
	return r.StatusCode
}

// explain tells what a failed request means to the Poster. Sha is the commit that it
// was about, if any.
func (p *Provider) explain(ctx context.Context, response *sdk.Response, failed error, sha string) error {
	code := codeOf(response)
	switch {
	case code == 0:
		return p.unanswered(ctx, failed)
	case code < 300:
		return errors.New(p.client.Clean("read the forge's answer: " + failed.Error()))
	}
	// 404 means several things, and to change what has moved is 405.
	if code < 400 || code == http.StatusNotFound || code == http.StatusMethodNotAllowed {
		if why := p.missing(ctx, sha); why != nil {
			return why
		}
	}
	why := p.client.Explain(code, response.Header, wordsOf(failed))
	if code == http.StatusUnprocessableEntity && strings.Contains(wordsOf(failed), "exceeded the limit") {
		return fmt.Errorf("%w: %w", status.ErrFull, why)
	}
	return why
}

// unanswered keeps what the token's reader says, which is not the forge's word.
func (p *Provider) unanswered(ctx context.Context, failed error) error {
	if _, err := p.client.Token(); err != nil {
		return err
	}
	return p.client.Unanswered(ctx, failed)
}

// wordsOf returns what GitLab said, without the library's words about the request.
func wordsOf(err error) string {
	if refusal, ok := errors.AsType[*sdk.ErrorResponse](err); ok {
		return refusal.Message
	}
	return ""
}

// missing finds out what of a request is not there: the project, which may have moved,
// or the commit. It returns nil where that is not the reason.
func (p *Provider) missing(ctx context.Context, sha string) error {
	_, response, err := p.api.Projects.GetProject(p.project, nil, sdk.WithContext(ctx))
	code := codeOf(response)
	switch {
	case err == nil:
	case code == http.StatusNotFound:
		return p.client.Missing(p.project)
	case code >= 300 && code < 400:
		return p.moved(ctx, response.Header.Get("Location"))
	default:
		return ctx.Err()
	}
	if sha == "" {
		return nil
	}
	_, response, err = p.api.Commits.GetCommit(p.project, sha, nil, sdk.WithContext(ctx))
	if err != nil && codeOf(response) == http.StatusNotFound {
		return p.client.UnknownCommit(p.project, sha)
	}
	return ctx.Err()
}

// moved finds the project's new path. GitLab redirects to its number; of the location
// nothing else is used, so it leads to no other host. It returns nil where it is not
// told.
func (p *Provider) moved(ctx context.Context, location string) error {
	u, err := url.Parse(location)
	if err != nil {
		return nil //nolint:nilerr // what is no URL is no news
	}
	_, rest, found := strings.Cut(u.EscapedPath(), "/api/v4/projects/")
	if !found {
		return nil
	}
	id, _, _ := strings.Cut(rest, "/")
	id, err = url.PathUnescape(id)
	if err != nil || id == "" || id == p.project {
		return nil //nolint:nilerr // what is no name is no news
	}
	project, _, err := p.api.Projects.GetProject(id, nil, sdk.WithContext(ctx))
	if err != nil || project.PathWithNamespace == "" || project.PathWithNamespace == p.project {
		return ctx.Err()
	}
	return p.client.Moved(project.PathWithNamespace)
}
