package gitea_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
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
				p, err := gitea.New(gitea.Config{Config: forgeclient.Config{Base: baseURL, Token: token}, Owner: "team", Repository: "web"})
				if err != nil {
					t.Fatal(err)
				}
				return p
			},
			Posted: func(_ *testing.T, sha, context string) []status.Commit { return f.of(sha, context) },
			SHA:    shaA, OtherSHA: shaB,
			Rename: func() string {
				f.renamed = "site"
				return "team/site"
			},
			Lacking: []statustest.Lack{{Words: "write:repository", Take: func() { f.readOnly = true }}},
		}
	})
}

// fake answers like Gitea 1.26, errors included: it answers a status for an unknown
// commit with 500 and no reason.
type fake struct {
	renamed  string // the repository's current name
	readOnly bool   // the token lacks the scope

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
	mux.HandleFunc("GET "+repo, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"name": "web"})
	})
	mux.HandleFunc("GET "+repo+"/git/commits/{sha}", func(w http.ResponseWriter, r *http.Request) {
		if !known(r.PathValue("sha")) {
			writeJSON(w, http.StatusNotFound, map[string]any{"message": "The target couldn't be found."})
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"sha": r.PathValue("sha")})
	})
	mux.HandleFunc("POST "+repo+"/statuses/{sha}", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			State       string `json:"state"`
			TargetURL   string `json:"target_url"`
			Description string `json:"description"`
			Context     string `json:"context"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Content-Type") != "application/json" {
			writeJSON(w, http.StatusUnprocessableEntity, map[string]any{"message": "not JSON"})
			return
		}
		if !known(r.PathValue("sha")) {
			writeJSON(w, http.StatusInternalServerError, map[string]any{"message": ""})
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		rec := record{
			ID: int64(len(f.posted) + 1), SHA: r.PathValue("sha"), State: body.State, TargetURL: body.TargetURL,
			Description: strings.TrimSpace(body.Description), Context: body.Context, Created: time.Now().Truncate(time.Second),
		}
		f.posted = append(f.posted, rec)
		writeJSON(w, http.StatusCreated, rec)
	})
	mux.HandleFunc("GET "+repo+"/commits/{sha}/statuses", f.list(known))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "token "+statustest.Token {
			writeJSON(w, http.StatusUnauthorized, map[string]any{"message": "invalid username, password or token"})
			return
		}
		if strings.HasSuffix(r.URL.Path, "/version") {
			panic("the forge was asked for its version, which may be anything")
		}
		rest, isOld := strings.CutPrefix(r.URL.Path, repo)
		switch {
		case f.readOnly && r.Method == http.MethodPost:
			writeJSON(w, http.StatusForbidden, map[string]any{"message": "token does not have at least one of required scope(s): [write:repository]"})
		case f.renamed != "" && isOld:
			w.Header().Set("Location", "/api/v1/repos/team/"+f.renamed+rest)
			w.WriteHeader(http.StatusMovedPermanently)
		case f.renamed != "":
			writeJSON(w, http.StatusOK, map[string]any{"full_name": "team/" + f.renamed})
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

func (f *fake) list(known func(string) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !known(r.PathValue("sha")) {
			writeJSON(w, http.StatusNotFound, map[string]any{"message": "object does not exist"})
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		const most = 20 // less than requested: MAX_RESPONSE_ITEMS
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		all := []record{}
		for _, rec := range slices.Backward(f.posted) {
			if rec.SHA == r.PathValue("sha") {
				all = append(all, rec)
			}
		}
		// Only seconds determine the order, as in Gitea.
		first := min((page-1)*most, len(all))
		last := min(page*most, len(all))
		if last < len(all) {
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?page=%d>; rel="next"`, r.Host, r.URL.Path, page+1))
		}
		part := slices.Clone(all[first:last])
		slices.Reverse(part)
		writeJSON(w, http.StatusOK, part)
	}
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}

func TestNewRefusesAnInvalidConfig(t *testing.T) {
	token := func() (string, error) { return "t", nil }
	for _, c := range []gitea.Config{
		{Config: forgeclient.Config{Base: "https://git.example", Token: token}},
		{Config: forgeclient.Config{Base: "https://git.example", Token: token}, Owner: "team"},
		{Config: forgeclient.Config{Base: "ftp://git.example", Token: token}, Owner: "team", Repository: "web"},
		{Config: forgeclient.Config{Base: "https://git.example"}, Owner: "team", Repository: "web"},
	} {
		if _, err := gitea.New(c); err == nil {
			t.Errorf("New(%+v) = no error", c)
		}
	}
}
