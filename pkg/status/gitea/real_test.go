package gitea_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fedsync/fedsync/internal/lab"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
	"github.com/fedsync/fedsync/pkg/status/gitea"
	"github.com/fedsync/fedsync/pkg/status/post"
)

// real is a repository with two commits on a real Gitea, behind a proxy that can be made
// to fail.
type real struct {
	forge *lab.Forge
	shas  [2]string
	proxy *httptest.Server
	down  atomic.Bool
	asked atomic.Int32 // requests during the failure

	outbox string // of its posters
}

func newReal(t *testing.T) *real {
	t.Helper()
	r := &real{forge: lab.Shared(t).Forge(t).NewRepository(t), outbox: filepath.Join(t.TempDir(), "outbox")}
	repo := sourcetest.New(t)
	for i, content := range []string{"one", "two"} {
		r.shas[i] = repo.Push(content, map[string]string{"file": content})
	}
	repo.Git("push", "--quiet", r.forge.PushURL(), "main")
	address, err := url.Parse(r.forge.URL)
	if err != nil {
		t.Fatal(err)
	}
	through := httputil.NewSingleHostReverseProxy(address)
	r.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if r.down.Load() {
			r.asked.Add(1)
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		through.ServeHTTP(w, request)
	}))
	t.Cleanup(r.proxy.Close)
	return r
}

func (r *real) provider(t *testing.T, token string) *gitea.Provider {
	t.Helper()
	p, err := gitea.New(gitea.Config{
		Config: forgeclient.Config{Base: r.proxy.URL, Token: func() (string, error) { return token, nil }},
		Owner:  r.forge.Owner, Repository: r.forge.Repository,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// poster runs a Poster until the returned function is called, and sends the result of
// each attempt.
func (r *real) poster(t *testing.T) (*post.Poster, <-chan post.Result, func()) {
	t.Helper()
	results := make(chan post.Result, 100) // more than a test's attempts, so that OnPost does not block
	p := post.New(r.provider(t, r.forge.Token), post.Options{
		Context: "fedsync/web", PublicURL: "https://fedsync.example", Outbox: r.outbox,
		OnPost: func(_ string, result post.Result) { results <- result },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	stop := func() { cancel(); <-done }
	t.Cleanup(stop)
	return p, results, stop
}

func await(t *testing.T, results <-chan post.Result, want post.Result) {
	t.Helper()
	for timeout := time.After(time.Minute); ; {
		select {
		case got := <-results:
			if got == want {
				return
			}
		case <-timeout:
			t.Fatalf("no post ended with %q within a minute", want)
		}
	}
}

func TestStatusesOutliveAForgeThatIsDownAndARestart(t *testing.T) {
	r := newReal(t)
	p, results, stop := r.poster(t)
	first, second := federation.Revision{Ref: "main", SHA: r.shas[0]}, federation.Revision{Ref: "main", SHA: r.shas[1]}
	p.Begin(first)
	p.Want(status.Commit{SHA: r.shas[0], State: status.Pending, Description: "0/13 synced"})
	await(t, results, post.Posted)

	r.down.Store(true)
	p.Want(status.Commit{SHA: r.shas[0], State: status.Success, Description: "203.0.113.10 · 13/13 clusters · 26/26 ready"})
	p.Begin(second)
	p.Want(status.Commit{SHA: r.shas[1], State: status.Pending, Description: "0/13 synced"})
	await(t, results, post.Retry)
	stop()

	// The next process has only the outbox; the daemon sets what is wanted, as at every
	// start.
	p, results, stop = r.poster(t)
	p.Begin(second)
	p.Want(status.Commit{SHA: r.shas[1], State: status.Pending, Description: "0/13 synced"})
	p.Want(status.Commit{SHA: r.shas[1], State: status.Failure, Description: "1/13 failed: gce-us-east1b Service/nginx nodePort 30036 held by default/legacy"})
	for before := r.asked.Load(); r.asked.Load() < before+2; {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal("no request reached the forge while it was down")
		}
	}
	r.down.Store(false)
	await(t, results, post.Posted)
	await(t, results, post.Posted)
	stop()

	// A further process finds everything in place.
	p, results, stop = r.poster(t)
	p.Begin(second)
	p.Want(status.Commit{SHA: r.shas[1], State: status.Failure, Description: "1/13 failed: gce-us-east1b Service/nginx nodePort 30036 held by default/legacy"})
	p.Want(status.Commit{SHA: r.shas[1], Context: "fedsync/web/c1", State: status.Success, Description: "2/2 ready"})
	await(t, results, post.Posted) // of the new context
	stop()

	got := [][]lab.Status{r.forge.Statuses(t, r.shas[0]), r.forge.Statuses(t, r.shas[1])}
	for i, statuses := range got {
		for j, s := range statuses {
			if want := "https://fedsync.example/revisions/" + r.shas[i]; s.TargetURL != want {
				t.Errorf("link of %q = %q, want %q", s.Description, s.TargetURL, want)
			}
			got[i][j].TargetURL = ""
		}
	}
	want := [][]lab.Status{
		{
			{Context: "fedsync/web", State: "success", Description: "superseded by " + r.shas[1][:7] + " · was: 203.0.113.10 · 13/13 clusters · 26/26 ready"},
			{Context: "fedsync/web", State: "pending", Description: "0/13 synced"},
		},
		{
			{Context: "fedsync/web/c1", State: "success", Description: "2/2 ready"},
			{Context: "fedsync/web", State: "failure", Description: "1/13 failed: gce-us-east1b Service/nginx nodePort 30036 held by default/legacy"},
		},
	}
	if diff := cmp.Diff(want, got, cmp.Transformer("sorted", sorted)); diff != "" {
		t.Errorf("statuses on the commits (-want +got):\n%s", diff)
	}
}

// sorted removes the order of statuses, which is undefined within a second.
func sorted(statuses []lab.Status) map[lab.Status]int {
	m := map[lab.Status]int{}
	for _, s := range statuses {
		m[s]++
	}
	return m
}

func TestTheRealForgesErrorsAreReported(t *testing.T) {
	r := newReal(t)
	p := r.provider(t, r.forge.Token)
	unknown := status.Commit{SHA: "00000000000000000000000000000000deadbeef", Context: "fedsync/web", State: status.Pending}
	if err := p.Post(t.Context(), unknown); !errors.Is(err, status.ErrRejected) {
		t.Errorf("Post for a commit the forge does not have = %v, want ErrRejected", err)
	}
	if list, err := p.List(t.Context(), unknown.SHA, "fedsync/web"); err != nil || len(list) != 0 {
		t.Errorf("List of a commit the forge does not have = %v, %v, want nothing", list, err)
	}
	refused := r.provider(t, "0000000000000000000000000000000000000000")
	known := status.Commit{SHA: r.shas[0], Context: "fedsync/web", State: status.Pending}
	if err := refused.Post(t.Context(), known); !errors.Is(err, status.ErrUnauthorized) || strings.Contains(err.Error(), "000000000000") {
		t.Errorf("Post with a wrong token = %v, want ErrUnauthorized without the token", err)
	}
	elsewhere, err := gitea.New(gitea.Config{
		Config: forgeclient.Config{Base: r.proxy.URL, Token: func() (string, error) { return r.forge.Token, nil }},
		Owner:  r.forge.Owner, Repository: "nowhere",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Post(t.Context(), known); !errors.Is(err, status.ErrUnauthorized) || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("Post to a missing repository = %v, want ErrUnauthorized with its name", err)
	}
}

func TestTheRealForgeIsProbed(t *testing.T) {
	r := newReal(t)
	if err := r.provider(t, r.forge.Token).Probe(t.Context()); err != nil {
		t.Errorf("Probe with a good token = %v", err)
	}
	if err := r.provider(t, "0000000000000000000000000000000000000000").Probe(t.Context()); !errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Probe with a wrong token = %v, want ErrUnauthorized", err)
	}
	for _, sha := range r.shas {
		if n := len(r.forge.Statuses(t, sha)); n != 0 {
			t.Errorf("probes posted %d statuses", n)
		}
	}
}

func TestTheRealForgeKeepsItsStatusesInOrder(t *testing.T) {
	r := newReal(t)
	p := r.provider(t, r.forge.Token)
	const posts = 55 // more than a page, and many within one second
	for i := range posts {
		c := status.Commit{SHA: r.shas[0], Context: "fedsync/web", State: status.Pending, Description: strings.Repeat("ö", 200)}
		if i == posts-1 {
			c.State, c.Description = status.Success, "the last"
		}
		if err := p.Post(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	list, err := p.List(t.Context(), r.shas[0], "fedsync/web")
	if err != nil || len(list) != posts {
		t.Fatalf("List = %d statuses, %v, want %d", len(list), err, posts)
	}
	if list[0].State != status.Success || list[0].Description != "the last" {
		t.Errorf("List starts with %+v, want the last posted one", list[0])
	}
}

// Gitea does not update the time of a pull request when a comment is edited or deleted.
func TestAChangeOfOurCommentIsAnotherVersion(t *testing.T) {
	const marker = "<!-- marker -->"
	r := newReal(t)
	call := func(method, path string, body, into any) {
		t.Helper()
		if err := r.forge.Call(t.Context(), method, "/repos/"+r.forge.Owner+"/"+r.forge.Repository+path, body, into); err != nil {
			t.Fatal(err)
		}
	}
	call(http.MethodPost, "/contents/new.yaml", map[string]any{"content": "YQ==", "message": "new", "new_branch": "change"}, nil)
	var pr struct {
		Number int64 `json:"number"`
	}
	call(http.MethodPost, "/pulls", map[string]any{"head": "change", "base": "main", "title": "Change"}, &pr)
	p, err := gitea.New(gitea.Config{
		Config: forgeclient.Config{Base: r.proxy.URL, Token: func() (string, error) { return r.forge.Token, nil }},
		Owner:  r.forge.Owner, Repository: r.forge.Repository, Sweep: time.Nanosecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	poll := func(after string) {
		t.Helper()
		open, changed, err := p.Open(t.Context(), "main")
		if err != nil || !changed || len(open) != 1 || open[0].Version == last {
			t.Fatalf("Open after %s = %+v, %t, %v, want another version", after, open, changed, err)
		}
		last = open[0].Version
	}
	poll("the start")
	if err := p.Comment(t.Context(), pr.Number, marker, "a plan"); err != nil {
		t.Fatal(err)
	}
	poll("our comment")
	if open, changed, err := p.Open(t.Context(), "main"); err != nil || changed {
		t.Errorf("Open where nothing changed = %+v, %t, %v", open, changed, err)
	}
	var all []struct {
		ID int64 `json:"id"`
	}
	comments := fmt.Sprintf("/issues/%d/comments", pr.Number)
	call(http.MethodGet, comments, nil, &all)
	if len(all) != 1 {
		t.Fatalf("there are %d comments", len(all))
	}
	time.Sleep(1100 * time.Millisecond) //nolint:forbidigo // Gitea's times are in seconds
	call(http.MethodPatch, fmt.Sprintf("/issues/comments/%d", all[0].ID), map[string]any{"body": "edited"}, nil)
	poll("another account's edit")
	call(http.MethodDelete, fmt.Sprintf("/issues/comments/%d", all[0].ID), nil, nil)
	poll("its end")
}
