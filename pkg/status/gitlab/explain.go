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

// explain returns the meaning of a failed request for the Poster. sha is the commit of
// the request, if any.
func (p *Provider) explain(ctx context.Context, response *sdk.Response, failed error, sha string) error {
	code := codeOf(response)
	switch {
	case code == 0:
		return p.unanswered(ctx, failed)
	case code < 300:
		return errors.New(p.client.Clean("read the forge's answer: " + failed.Error()))
	}
	// 404 has several meanings, and a change of a moved project is refused with 405.
	if code < 400 || code == http.StatusNotFound || code == http.StatusMethodNotAllowed {
		if why := p.missing(ctx, sha); why != nil {
			return why
		}
	}
	why := p.client.Explain(code, response.Header, messageOf(failed))
	if code == http.StatusUnprocessableEntity && strings.Contains(messageOf(failed), "exceeded the limit") {
		return fmt.Errorf("%w: %w", status.ErrFull, why)
	}
	return why
}

// unanswered returns the error of reading the token if there is one, and else that of a
// request without an answer.
func (p *Provider) unanswered(ctx context.Context, failed error) error {
	if _, err := p.client.Token(); err != nil {
		return err
	}
	return p.client.Unanswered(ctx, failed)
}

// messageOf returns GitLab's message, without the library's description of the request.
func messageOf(err error) string {
	if refusal, ok := errors.AsType[*sdk.ErrorResponse](err); ok {
		return refusal.Message
	}
	return ""
}

// missing returns the error for what a request did not find: the project, which may have
// moved, or the commit. It returns nil if both exist.
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

// moved finds the project's new path. GitLab redirects to the project's number. Only that
// part of the location is used, so it leads to no other host. moved returns nil if the
// new path is unknown.
func (p *Provider) moved(ctx context.Context, location string) error {
	u, err := url.Parse(location)
	if err != nil {
		return nil //nolint:nilerr // an invalid URL means no redirect
	}
	_, rest, found := strings.Cut(u.EscapedPath(), "/api/v4/projects/")
	if !found {
		return nil
	}
	id, _, _ := strings.Cut(rest, "/")
	id, err = url.PathUnescape(id)
	if err != nil || id == "" || id == p.project {
		return nil //nolint:nilerr // an invalid name means no redirect
	}
	project, _, err := p.api.Projects.GetProject(id, nil, sdk.WithContext(ctx))
	if err != nil || project.PathWithNamespace == "" || project.PathWithNamespace == p.project {
		return ctx.Err()
	}
	return p.client.Moved(project.PathWithNamespace)
}
