package gitea_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/gitea"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

const (
	shaA = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	shaB = "b000000000000000000000000000000000000000"
)

func TestProviderConforms(t *testing.T) {
	statustest.Run(t, func(t *testing.T) statustest.Fixture {
		f := &fake{}
		return statustest.Fixture{
			Forge: f.handler(),
			New: func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
				p, err := gitea.New(gitea.Config{URL: baseURL + "/team/web.git", Token: token})
				if err != nil {
					t.Fatal(err)
				}
				return p
			},
			Posted: func(_ *testing.T, sha, context string) []status.Commit { return f.of(sha, context) },
			SHA:    shaA, OtherSHA: shaB,
		}
	})
}

// fake answers as Gitea 1.26 does, errors included: a status for a commit that
// it does not have is answered with 500 and no reason.
type fake struct {
	mu     sync.Mutex // protects posted
	posted []record
}

type record struct {
	ID          int64     `json:"id"`
	SHA         string    `json:"-"`
	State       string    `json:"status"`
	TargetURL   string    `json:"target_url"`
	Description string    `json:"description"`
	Context     string    `json:"context"`
	Created     time.Time `json:"created_at"`
}

func (f *fake) of(sha, context string) []status.Commit {
	f.mu.Lock()
	defer f.mu.Unlock()
	var commits []status.Commit
	for _, r := range f.posted {
		if r.SHA == sha && r.Context == context {
			commits = append(commits, status.Commit{
				SHA: sha, Context: context, State: status.State(r.State), Description: r.Description,
				TargetURL: r.TargetURL, Time: r.Created,
			})
		}
	}
	return commits
}

func (f *fake) handler() http.Handler {
	const repo = "/api/v1/repos/team/web"
	mux := http.NewServeMux()
	known := func(sha string) bool { return sha == shaA || sha == shaB }
	mux.HandleFunc("GET "+repo, func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, map[string]any{"name": "web"}) })
	mux.HandleFunc("GET "+repo+"/git/commits/{sha}", func(w http.ResponseWriter, r *http.Request) {
		if !known(r.PathValue("sha")) {
			say(w, http.StatusNotFound, map[string]any{"message": "The target couldn't be found."})
			return
		}
		say(w, http.StatusOK, map[string]any{"sha": r.PathValue("sha")})
	})
	mux.HandleFunc("POST "+repo+"/statuses/{sha}", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			State       string `json:"state"`
			TargetURL   string `json:"target_url"`
			Description string `json:"description"`
			Context     string `json:"context"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Content-Type") != "application/json" {
			say(w, http.StatusUnprocessableEntity, map[string]any{"message": "not JSON"})
			return
		}
		if !known(r.PathValue("sha")) {
			say(w, http.StatusInternalServerError, map[string]any{"message": ""})
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		rec := record{
			ID: int64(len(f.posted) + 1), SHA: r.PathValue("sha"), State: body.State, TargetURL: body.TargetURL,
			Description: strings.TrimSpace(body.Description), Context: body.Context, Created: time.Now().Truncate(time.Second),
		}
		f.posted = append(f.posted, rec)
		say(w, http.StatusCreated, rec)
	})
	mux.HandleFunc("GET "+repo+"/commits/{sha}/statuses", f.list(known))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "token "+statustest.Token {
			say(w, http.StatusUnauthorized, map[string]any{"message": "invalid username, password or token"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (f *fake) list(known func(string) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !known(r.PathValue("sha")) {
			say(w, http.StatusNotFound, map[string]any{"message": "object does not exist"})
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		const most = 20 // less than is asked for: MAX_RESPONSE_ITEMS
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		all := []record{}
		for _, rec := range slices.Backward(f.posted) {
			if rec.SHA == r.PathValue("sha") {
				all = append(all, rec)
			}
		}
		// Only seconds decide about the order, as they do there.
		first := min((page-1)*most, len(all))
		last := min(page*most, len(all))
		if last < len(all) {
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?page=%d>; rel="next"`, r.Host, r.URL.Path, page+1))
		}
		part := slices.Clone(all[first:last])
		slices.Reverse(part)
		say(w, http.StatusOK, part)
	}
}

func say(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func TestNewFindsTheForgeInTheRepositorysURL(t *testing.T) {
	token := func() (string, error) { return "t", nil }
	tests := []struct {
		config gitea.Config
		want   string // path of a request, or the beginning of an error
	}{
		{gitea.Config{URL: "{}/team/web.git"}, "/api/v1/repos/team/web/statuses/" + shaA},
		{gitea.Config{URL: "{}/team/web/"}, "/api/v1/repos/team/web/statuses/" + shaA},
		{gitea.Config{URL: "{}/git/forge/team/web"}, "/git/forge/api/v1/repos/team/web/statuses/" + shaA},
		{gitea.Config{URL: "git@git.example:team/web.git", BaseURL: "{}/", Owner: "team", Repository: "web"}, "/api/v1/repos/team/web/statuses/" + shaA},
		{gitea.Config{URL: "{}/mirror/copy.git", Owner: "team", Repository: "web"}, "/api/v1/repos/team/web/statuses/" + shaA},
		{gitea.Config{URL: "git@git.example:team/web.git"}, "error: the repository's URL does not say"},
		{gitea.Config{URL: "/srv/git/web.git"}, "error: the repository's URL does not say"},
		{gitea.Config{URL: "https://git.example/web"}, "error: the repository's URL git.example/web has no owner"},
		{gitea.Config{BaseURL: "https://git.example"}, "error: the forge needs the repository's owner"},
		{gitea.Config{BaseURL: "ftp://git.example", Owner: "a", Repository: "b"}, "error: the forge's base URL must be like"},
	}
	for _, tt := range tests {
		var asked string
		client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			asked = r.URL.Path
			return nil, http.ErrServerClosed
		})}
		c := tt.config
		c.Token, c.Client = token, client
		c.URL = strings.ReplaceAll(c.URL, "{}", "https://user:secret@git.example")
		c.BaseURL = strings.ReplaceAll(c.BaseURL, "{}", "https://git.example")
		p, err := gitea.New(c)
		if err != nil {
			asked = "error: " + err.Error()
		} else if err := p.Post(t.Context(), status.Commit{SHA: shaA}); strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds the password: %v", err)
		}
		if asked != tt.want && (!strings.HasPrefix(tt.want, "error") || !strings.HasPrefix(asked, tt.want)) {
			t.Errorf("%+v asked %q, want %q", tt.config, asked, tt.want)
		}
	}
	if _, err := gitea.New(gitea.Config{URL: "https://git.example/team/web"}); err == nil {
		t.Error("New without a token = no error")
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestARedirectIsNoSuccess(t *testing.T) {
	moved := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
			return
		}
		say(w, http.StatusOK, map[string]any{})
	}))
	t.Cleanup(moved.Close)
	p, err := gitea.New(gitea.Config{URL: moved.URL + "/team/web", Token: func() (string, error) { return "t", nil }})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Post(t.Context(), status.Commit{SHA: shaA, Context: "fedsync/web", State: status.Success})
	if err == nil || !strings.Contains(err.Error(), "correct its base URL") {
		t.Errorf("Post that is redirected = %v, want an error with the remedy", err)
	}
}
