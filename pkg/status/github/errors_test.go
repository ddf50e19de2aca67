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
	"github.com/fedsync/fedsync/pkg/status/github"
	"github.com/fedsync/fedsync/pkg/status/github/githubtest"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// recorder is a client that reaches nobody.
func recorder(asked *string) *http.Client {
	return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		*asked = r.URL.String()
		return nil, http.ErrServerClosed
	})}
}

// answering returns a provider for a server that gives every request one answer.
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
	return mustNew(t, github.Config{BaseURL: server.URL, Owner: "team", Repository: "web", Token: func() (string, error) { return statustest.Token, nil }})
}

func TestAForbiddenAnswerIsToldFromALimit(t *testing.T) {
	soon := fmt.Sprint(time.Now().Add(90 * time.Second).Unix())
	const secondary = `{"message": "You have exceeded a secondary rate limit", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`
	tests := []struct {
		name   string
		code   int
		header map[string]string
		body   string
		low    time.Duration // zero: it is no limit
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

func TestTooManyPostsAMinuteAreHeldBack(t *testing.T) {
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

func TestAFullContextIsFinal(t *testing.T) {
	p := answering(t, 422, nil, `{"message": "Validation Failed", "errors": [{"resource": "Status", "code": "custom", "message": "This SHA and context has reached the maximum number of statuses."}]}`)
	err := p.Post(t.Context(), status.Commit{SHA: "1", Context: "fedsync", State: status.Success})
	if !errors.Is(err, status.ErrFull) || !errors.Is(err, status.ErrRejected) {
		t.Errorf("Post = %v, want ErrFull", err)
	}
	p = answering(t, 422, nil, `{"message": "Validation Failed", "errors": ["another reason"]}`)
	err = p.Post(t.Context(), status.Commit{SHA: "1", Context: "fedsync", State: status.Success})
	if errors.Is(err, status.ErrFull) || !errors.Is(err, status.ErrRejected) || !strings.Contains(err.Error(), "another reason") {
		t.Errorf("Post = %v, want ErrRejected with the reason", err)
	}
}

func TestARenamedRepositoryIsNamed(t *testing.T) {
	f := newForge(t)
	app := f.AddApp(t, "fedsync", everything)
	for _, p := range []status.Reviewer{mustNew(t, f.config()), mustNew(t, f.asApp(app))} {
		if err := p.Post(t.Context(), f.commit(status.Pending, "before")); err != nil {
			t.Fatal(err)
		}
	}
	f.Rename("platform/web2")
	for _, p := range []status.Reviewer{mustNew(t, f.config()), mustNew(t, f.asApp(app))} {
		err := p.Post(t.Context(), f.commit(status.Success, "after"))
		moved, ok := errors.AsType[*status.MovedError](err)
		if !ok || moved.Name != "platform/web2" {
			t.Errorf("Post to a repository that was renamed = %v, want its new name", err)
			continue
		}
		if remedy := moved.Remedy().String(); !strings.Contains(remedy, "--forge-repository platform/web2") {
			t.Errorf("remedy: %s", remedy)
		}
		if _, err := p.List(t.Context(), f.first, "fedsync/web"); err == nil {
			t.Error("List of a repository that was renamed = no error")
		}
	}
	if n := len(f.Statuses(f.first, "fedsync/web")); n != 1 {
		t.Errorf("%d statuses, want that of before", n)
	}
}

func TestACredentialGoesToNoOtherHost(t *testing.T) {
	strayed := ""
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { strayed += r.Header.Get("Authorization") + r.URL.Path }))
	t.Cleanup(elsewhere.Close)
	p := answering(t, http.StatusMovedPermanently, map[string]string{"Location": elsewhere.URL + "/api/v3/repos/team/web"}, "")
	err := p.Post(t.Context(), status.Commit{SHA: "1", Context: "fedsync", State: status.Success})
	moved, ok := errors.AsType[*status.MovedError](err)
	if !ok || moved.Host != elsewhere.URL || strayed != "" {
		t.Errorf("Post = %v, and the other host was sent %q; want its address and nothing", err, strayed)
	}
}

func TestProbeNamesThePermission(t *testing.T) {
	f := newForge(t)
	f.AddToken("reader", "ada", map[string]string{"contents": "read"})
	good, poor, gone := f.AddApp(t, "good", everything), f.AddApp(t, "poor", map[string]string{"checks": "read"}), f.AddApp(t, "gone", everything)
	f.Uninstall(gone)
	withToken := func(token string) github.Config {
		c := f.config()
		c.Token = func() (string, error) { return token, nil }
		return c
	}
	tests := []struct {
		name   string
		config github.Config
		want   string // in the error; empty for none
	}{
		{"a good token", f.config(), ""},
		{"a token that may only read", withToken("reader"), "statuses=write"},
		{"a wrong token", withToken("wrong"), "401"},
		{"a good App", f.asApp(good), ""},
		{"an App that may only read checks", f.asApp(poor), "checks: write"},
		{"an App that is not installed", f.asApp(gone), "not installed"},
	}
	for _, tt := range tests {
		before := len(f.Statuses(f.first, "fedsync"))
		err := mustNew(t, tt.config).(status.Prober).Probe(t.Context())
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, status.ErrUnauthorized) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: Probe = %v, want %q", tt.name, err, tt.want)
		}
		if len(f.Statuses(f.first, "fedsync")) != before {
			t.Errorf("%s: Probe posted a status", tt.name)
		}
	}
	p := answering(t, http.StatusBadGateway, nil, "")
	if err := p.(status.Prober).Probe(t.Context()); err == nil || errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Probe of a forge that is away = %v, which says nothing of the token", err)
	}
}
