package github_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
	"github.com/fedsync/fedsync/pkg/status/github"
	"github.com/fedsync/fedsync/pkg/status/github/githubtest"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// recorder returns a client that records the URL and reaches no server.
func recorder(asked *string) *http.Client {
	return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		*asked = r.URL.String()
		return nil, http.ErrServerClosed
	})}
}

// answering returns a provider for a server that gives the same answer to every request.
func answering(t *testing.T, code int, header map[string]string, body string) status.Reviewer {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return mustNew(t, github.Config{Config: forgeclient.Config{Base: server.URL, Token: func() (string, error) { return statustest.Token, nil }}, Owner: "team", Repository: "web"})
}

func TestAForbiddenAnswerIsDistinguishedFromALimit(t *testing.T) {
	soon := fmt.Sprint(time.Now().Add(90 * time.Second).Unix())
	const secondary = `{"message": "You have exceeded a secondary rate limit", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`
	tests := []struct {
		name   string
		code   int
		header map[string]string
		body   string
		low    time.Duration // zero if it is no limit
		words  string
	}{
		{"a permission that lacks", 403, map[string]string{"X-Accepted-GitHub-Permissions": "statuses=write"}, `{"message": "Resource not accessible by personal access token"}`, 0, "statuses=write"},
		{"403 and no reason", 403, nil, `{"message": "no"}`, 0, "no"},
		{"secondary, with a time", 403, map[string]string{"Retry-After": "30"}, secondary, 30 * time.Second, "secondary"},
		{"secondary, without", 403, nil, secondary, time.Minute, "secondary"},
		{"secondary, as 429", 429, nil, secondary, time.Minute, "secondary"},
		{"secondary, by its words", 403, nil, `{"message": "You have exceeded a secondary rate limit."}`, time.Minute, "secondary"},
		{"primary", 403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": soon}, `{"message": "API rate limit exceeded"}`, 80 * time.Second, "API rate limit"},
		{"primary, as 429", 429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": soon}, `{"message": "API rate limit exceeded"}`, 80 * time.Second, "API rate limit"},
	}
	for _, tt := range tests {
		p := answering(t, tt.code, tt.header, tt.body)
		err := p.Post(t.Context(), status.Commit{SHA: "1", Context: "fedsync", State: status.Success})
		later, limited := errors.AsType[*status.RetryAfterError](err)
		switch {
		case tt.low == 0 && (limited || !errors.Is(err, status.ErrUnauthorized)):
			t.Errorf("%s: %v, want ErrUnauthorized", tt.name, err)
		case tt.low > 0 && (!limited || errors.Is(err, status.ErrUnauthorized) || later.After < tt.low || later.After > tt.low+11*time.Second):
			t.Errorf("%s: %v, want a pause of %s", tt.name, err, tt.low)
		}
		if !strings.Contains(fmt.Sprint(err), tt.words) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.words)
		}
	}
}

func TestTooManyPostsPerMinuteAreDelayed(t *testing.T) {
	f := newForge(t)
	p := mustNew(t, f.config())
	for i := range githubtest.ContentPerMinute {
		if err := p.Post(t.Context(), f.commit(status.Pending, fmt.Sprint(i))); err != nil {
			t.Fatalf("post %d: %v", i, err)
		}
	}
	err := p.Post(t.Context(), f.commit(status.Success, "done"))
	if later, ok := errors.AsType[*status.RetryAfterError](err); !ok || later.After != time.Minute {
		t.Errorf("one post too many = %v, want a pause of a minute", err)
	}
}
