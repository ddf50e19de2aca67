package gitea_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
	"github.com/fedsync/fedsync/pkg/status/gitea"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

// pullFake answers about pull requests and their comments like Gitea 1.26.
type pullFake struct {
	mu       sync.Mutex // protects what follows
	now      time.Time
	pulls    []pullRecord
	comments []commentRecord
	last     int64 // number of the last comment
	me       int64 // 0 if the token may not reveal it
	asked    []string
}

type pullRecord struct {
	Number  int64          `json:"number"`
	Title   string         `json:"title"`
	State   string         `json:"state"`
	Updated time.Time      `json:"updated_at"`
	Head    map[string]any `json:"head"`
	Base    map[string]any `json:"base"`
}

type commentRecord struct {
	ID   int64            `json:"id"`
	User map[string]int64 `json:"user"`
	Body string           `json:"body"`
}

// change creates or changes a pull request a second later.
func (f *pullFake) change(number int64, state, head, base string, from int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(time.Minute)
	f.pulls = slices.DeleteFunc(f.pulls, func(p pullRecord) bool { return p.Number == number })
	f.pulls = append(f.pulls, pullRecord{
		Number: number, Title: fmt.Sprintf("Change\n%d", number), State: state, Updated: f.now,
		Head: map[string]any{"ref": "b", "sha": head, "repo_id": from}, Base: map[string]any{"ref": base, "repo_id": 1},
	})
	f.now = f.now.Add(time.Minute) // no poll happens at that moment
}

func (f *pullFake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/repos/team/web/pulls", func(w http.ResponseWriter, r *http.Request) {
		var found []pullRecord
		for _, p := range slices.Backward(f.pulls) { // the last changed first
			if state := r.URL.Query().Get("state"); state == "all" || state == p.State {
				found = append(found, p)
			}
		}
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		size, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		size = min(size, 20) // MAX_RESPONSE_ITEMS
		first, last := min((page-1)*size, len(found)), min(page*size, len(found))
		if last < len(found) {
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?page=%d>; rel="next"`, r.Host, r.URL.Path, page+1))
		}
		w.Header().Set("Date", f.now.UTC().Format(http.TimeFormat))
		w.Header().Set("X-Total-Count", strconv.Itoa(len(found)))
		writeJSON(w, http.StatusOK, found[first:last])
	})
	mux.HandleFunc("GET /api/v1/user", func(w http.ResponseWriter, _ *http.Request) {
		if f.me == 0 {
			writeJSON(w, http.StatusForbidden, map[string]any{"message": "token does not have at least one of required scope(s), required=[read:user]"})
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"id": f.me})
	})
	mux.HandleFunc("GET /api/v1/repos/team/web/issues/7/comments", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, f.comments) })
	body := func(r *http.Request) string {
		var b struct {
			Body string `json:"body"`
		}
		_ = json.NewDecoder(r.Body).Decode(&b)
		return b.Body
	}
	mux.HandleFunc("POST /api/v1/repos/team/web/issues/7/comments", func(w http.ResponseWriter, r *http.Request) {
		f.last++
		f.comments = append(f.comments, commentRecord{ID: f.last, User: map[string]int64{"id": f.me}, Body: body(r)})
		writeJSON(w, http.StatusCreated, f.comments[len(f.comments)-1])
	})
	mux.HandleFunc("PATCH /api/v1/repos/team/web/issues/comments/{id}", func(w http.ResponseWriter, r *http.Request) {
		c := f.comment(r.PathValue("id"))
		c.Body = body(r)
		writeJSON(w, http.StatusOK, c)
	})
	mux.HandleFunc("DELETE /api/v1/repos/team/web/issues/comments/{id}", func(w http.ResponseWriter, r *http.Request) {
		c := *f.comment(r.PathValue("id"))
		f.comments = slices.DeleteFunc(f.comments, func(other commentRecord) bool { return other.ID == c.ID })
		w.WriteHeader(http.StatusNoContent)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.asked = append(f.asked, r.Method+" "+r.URL.Path)
		mux.ServeHTTP(w, r)
	})
}

// comment returns an existing comment.
func (f *pullFake) comment(id string) *commentRecord {
	at := slices.IndexFunc(f.comments, func(c commentRecord) bool { return strconv.FormatInt(c.ID, 10) == id })
	return &f.comments[at]
}

// requests returns the number of requests since the last call.
func (f *pullFake) requests() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.asked)
	f.asked = nil
	return n
}

func (f *pullFake) provider(t *testing.T) *gitea.Provider {
	t.Helper()
	server := httptest.NewServer(f.handler())
	t.Cleanup(server.Close)
	p, err := gitea.New(gitea.Config{Config: forgeclient.Config{Base: server.URL, Token: func() (string, error) { return statustest.Token, nil }}, Owner: "team", Repository: "web"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func sha(n int64) string { return fmt.Sprintf("%040x", n) }

func TestOpenPullRequestsAreListedAndThenPolledWithOneRequest(t *testing.T) {
	f := &pullFake{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	for n := range int64(45) {
		f.change(n+1, "open", sha(n+1), "main", 1)
	}
	f.change(46, "open", sha(46), "other", 1)
	f.change(47, "closed", sha(47), "main", 1)
	f.change(48, "open", "not a commit", "main", 1)
	f.change(49, "open", sha(49), "main", 2)
	p := f.provider(t)
	poll := func(requests int, wantChanged bool) []status.PullRequest {
		t.Helper()
		open, changed, err := p.Open(t.Context(), "main")
		if err != nil || changed != wantChanged {
			t.Fatalf("Open = changed %t, %v; want changed %t", changed, err, wantChanged)
		}
		if n := f.requests(); n != requests {
			t.Errorf("%d requests, want %d", n, requests)
		}
		return open
	}
	open := poll(4, true) // and three pages of open ones
	if len(open) != 46 || open[0].Number != 49 || open[45].Number != 1 {
		t.Fatalf("Open = %d, from %d; want 46 from 49 to 1", len(open), open[0].Number)
	}
	want := status.PullRequest{Number: 49, Title: "Change 49", Head: sha(49), Ref: "refs/pull/49/head", Base: "main", Fork: true, Version: open[0].Version}
	if open[0].Version == "" {
		t.Error("it has no version")
	}
	if diff := cmp.Diff(want, open[0]); diff != "" {
		t.Errorf("the newest (-want +got):\n%s", diff)
	}
	poll(1, false)

	f.change(3, "open", sha(1003), "main", 1)
	f.change(9, "closed", sha(9), "main", 1)
	open = poll(1, true)
	heads := map[int64]string{}
	for _, pr := range open {
		heads[pr.Number] = pr.Head
	}
	if heads[3] != sha(1003) || heads[9] != "" || len(open) != 45 {
		t.Errorf("after a push to #3 and the end of #9 there are %d, #3 at %s, #9 at %q", len(open), heads[3], heads[9])
	}
	f.change(46, "open", sha(1046), "other", 1)
	poll(1, false) // it is into another branch

	for n := range int64(15) { // more than a poll has
		f.change(n+20, "open", sha(n+2000), "main", 1)
	}
	poll(4, true)

	// A change within the second of a poll cannot be detected by its time.
	f.mu.Lock()
	f.pulls[len(f.pulls)-1].Updated = f.now
	f.mu.Unlock()
	poll(1, true) // its version changed
	poll(4, false)
}

func TestThereIsOneCommentOfOurs(t *testing.T) {
	const marker = "<!-- marker -->"
	f := &pullFake{me: 5, last: 100}
	f.comments = []commentRecord{
		{ID: 1, User: map[string]int64{"id": 6}, Body: marker + "\nsomebody else's copy"},
		{ID: 2, User: map[string]int64{"id": 5}, Body: "ours, about something else: " + marker},
	}
	p := f.provider(t)
	expect := func(text string, want ...string) {
		t.Helper()
		if err := p.Comment(t.Context(), 7, marker, text); err != nil {
			t.Fatal(err)
		}
		var bodies []string
		for _, c := range f.comments[2:] {
			bodies = append(bodies, c.Body)
		}
		if diff := cmp.Diff(want, bodies); diff != "" {
			t.Errorf("comments after %q (-want +got):\n%s", text, diff)
		}
	}
	expect("")
	expect("one", marker+"\none")
	expect("two", marker+"\ntwo")
	f.requests()
	expect("two", marker+"\ntwo")
	if n := f.requests(); n != 1 {
		t.Errorf("%d requests for an unchanged comment, want one that reads it", n)
	}
	f.comments[2].Body = "edited by another account\n" + marker // it is no longer ours
	expect("two", "edited by another account\n"+marker, marker+"\ntwo")
	f.comments = slices.Delete(f.comments, 2, 4)
	expect("two", marker+"\ntwo")
	// A comment of a process that was killed arrives late.
	f.comments = append(f.comments, commentRecord{ID: 9, User: map[string]int64{"id": 5}, Body: marker + "\none"})
	expect("two", marker+"\ntwo")
	expect("", marker+"\n_This no longer applies._")
	if !strings.Contains(f.comments[0].Body, "somebody else's copy") || !strings.Contains(f.comments[1].Body, "something else") {
		t.Errorf("other comments were changed: %+v", f.comments[:2])
	}
	f.me = 0
	if err := f.provider(t).Comment(t.Context(), 7, marker, "three"); !errors.Is(err, status.ErrUnauthorized) || !strings.Contains(err.Error(), "read:user") {
		t.Errorf("Comment with a token that may not reveal its account = %v, want the missing scope", err)
	}
}
