package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "github.com/google/go-github/v88/github"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
)

// secondaryPause is the pause after GitHub's secondary rate limit, if GitHub does not
// name one.
const secondaryPause = time.Minute

// failed returns the meaning of a failed request about the repository for the Poster,
// including whether the repository was renamed.
func (r *repository) failed(ctx context.Context, resp *sdk.Response, err error) error {
	code := codeOf(resp)
	switch {
	case code == http.StatusUnauthorized, tokenRefused(err) != nil: //nolint:bodyclose // explain closes it.
		r.proof.refused()
	case code == http.StatusNotFound:
		// GitHub hides what a credential may not see, or may not write to.
		r.proof.refused()
		return r.client.Missing(r.full())
	case code >= 300 && code < 400:
		return r.moved(ctx)
	}
	return explain(ctx, r.client, resp, err)
}

// ofCommit is failed for a request about a commit.
func (r *repository) ofCommit(ctx context.Context, resp *sdk.Response, err error, sha string) error {
	if codeOf(resp) == http.StatusUnprocessableEntity {
		switch words := strings.ToLower(messageOf(err)); {
		case strings.Contains(words, "no commit found"), strings.Contains(words, "no ref found"):
			return r.client.UnknownCommit(r.full(), sha)
		case strings.Contains(words, "maximum number of statuses"):
			return fmt.Errorf("%w: %w", status.ErrFull, r.client.Explain(http.StatusUnprocessableEntity, nil, messageOf(err)))
		}
	}
	return r.failed(ctx, resp, err)
}

// explain returns the meaning of a failed request for the Poster.
func explain(ctx context.Context, client *forgeclient.Client, resp *sdk.Response, err error) error {
	if refused := tokenRefused(err); refused != nil {
		_ = refused.Body.Close()
		return fmt.Errorf("get a token of the App's installation: %w", client.Explain(refused.StatusCode, refused.Header, ""))
	}
	code := codeOf(resp)
	if code == 0 || code < 300 {
		return client.Unanswered(ctx, err)
	}
	if after, limited := limitedFor(resp, err); limited {
		return &status.RetryAfterError{After: after, Err: plain(client, resp, err)}
	}
	if code == http.StatusForbidden {
		if lacking := client.Clean(resp.Header.Get("X-Accepted-GitHub-Permissions")); lacking != "" {
			return fmt.Errorf("%w: it needs the permission %s: %w", status.ErrUnauthorized, lacking, plain(client, resp, err))
		}
	}
	return client.Explain(code, resp.Header, messageOf(err))
}

// plain returns an answer's code and message.
func plain(client *forgeclient.Client, resp *sdk.Response, err error) error {
	return fmt.Errorf("%d %s: %s", resp.StatusCode, http.StatusText(resp.StatusCode), client.Clean(messageOf(err)))
}

// limitedFor reports whether a rate limit is the reason, and how long it lasts. The
// secondary limit is answered with 403, like a missing permission.
func limitedFor(resp *sdk.Response, err error) (time.Duration, bool) {
	if limited, ok := errors.AsType[*sdk.RateLimitError](err); ok {
		if until := limited.Rate.Reset.Time; !until.IsZero() {
			return max(time.Until(until), time.Second), true
		}
		return secondaryPause, true
	}
	if code := resp.StatusCode; code != http.StatusForbidden && code != http.StatusTooManyRequests {
		return 0, false
	}
	if after, ok := status.RetryAfter(resp.Header.Get("Retry-After")); ok {
		return after, true
	}
	_, secondary := errors.AsType[*sdk.AbuseRateLimitError](err)
	return secondaryPause, secondary || strings.Contains(strings.ToLower(messageOf(err)), "secondary rate limit")
}

// messageOf returns GitHub's message, as sent.
func messageOf(err error) string {
	if e, ok := errors.AsType[*sdk.ErrorResponse](err); ok {
		words := []string{e.Message}
		for _, detail := range e.Errors {
			words = append(words, strings.TrimSpace(strings.Join([]string{detail.Field, detail.Code, detail.Message}, " ")))
		}
		return strings.Join(words, " ")
	}
	if e, ok := errors.AsType[*sdk.RateLimitError](err); ok {
		return e.Message
	}
	if e, ok := errors.AsType[*sdk.AbuseRateLimitError](err); ok {
		return e.Message
	}
	return ""
}

func codeOf(r *sdk.Response) int {
	if r == nil || r.Response == nil {
		return 0
	}
	return r.StatusCode
}
