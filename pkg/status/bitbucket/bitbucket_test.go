package bitbucket_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/bitbucket"
	"github.com/fedsync/fedsync/pkg/status/bitbucket/bitbuckettest"
	"github.com/fedsync/fedsync/pkg/status/forgeclient"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

const (
	shaA = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	shaB = "b000000000000000000000000000000000000000"
)

func TestProviderConforms(t *testing.T) {
	statustest.Run(t, func(t *testing.T) statustest.Fixture {
		f := newForge(t)
		return statustest.Fixture{
			Forge: f,
			New: func(t *testing.T, baseURL string, token func() (string, error)) status.Provider {
				return provider(t, baseURL, token)
			},
			Posted: func(_ *testing.T, sha, context string) []status.Commit { return posted(f, sha, context) },
			SHA:    shaA, OtherSHA: shaB, LatestOnly: true,
			Rename: func() string {
				f.Repository, f.Old = "edge/shop", "team/web"
				return f.Repository
			},
			Lacking: []statustest.Lack{{Words: "lacks the scope repository", Take: func() { f.Scopes = "account, pullrequest" }}},
		}
	})
}

func newForge(t *testing.T) *bitbuckettest.Forge {
	f := bitbuckettest.New(statustest.Token, "team/web", shaA, shaB)
	t.Cleanup(func() {
		for _, fault := range f.Faults() {
			t.Errorf("invalid request to Bitbucket: %s", fault)
		}
	})
	return f
}

func provider(t *testing.T, baseURL string, token func() (string, error)) *bitbucket.Provider {
	t.Helper()
	p, err := bitbucket.New(bitbucket.Config{Config: forgeclient.Config{Base: baseURL, Token: token}, Workspace: "team", Repository: "web"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func posted(f *bitbuckettest.Forge, sha, context string) []status.Commit {
	states := map[string]status.State{"INPROGRESS": status.Pending, "SUCCESSFUL": status.Success, "FAILED": status.Failure}
	var commits []status.Commit
	for _, b := range f.Builds(sha) {
		if b.Name == context {
			commits = append(commits, status.Commit{
				SHA: sha, Context: context, State: states[b.State], Description: b.Description, TargetURL: b.URL, Time: b.UpdatedOn,
			})
		}
	}
	return commits
}

func serve(t *testing.T, f *bitbuckettest.Forge) *bitbucket.Provider {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return provider(t, server.URL, func() (string, error) { return statustest.Token, nil })
}

func commit(context string) status.Commit {
	return status.Commit{SHA: shaA, Context: context, State: status.Success, Description: "well"}
}

// The keys must never change: existing statuses would no longer be updated.
func TestAContextHasItsOwnKeyOfAtMost40Characters(t *testing.T) {
	f := newForge(t)
	p := serve(t, f)
	contexts := []string{"fedsync/web", "fedsync-web", "fedsync/" + strings.Repeat("größe", 20), "fedsync/" + strings.Repeat("größe", 21)}
	for _, c := range contexts {
		if err := p.Post(t.Context(), commit(c)); err != nil {
			t.Fatal(err)
		}
	}
	builds := f.Builds(shaA)
	if len(builds) != len(contexts) {
		t.Fatalf("%d statuses, want %d, because each context has a key", len(builds), len(contexts))
	}
	if got, want := builds[0].Key, "fedsync-web-4e07def2c8f4"; got != want {
		t.Errorf("the key of %s is %s, want %s", contexts[0], got, want)
	}
}

func TestAStatusWithoutALinkLeadsToTheCommit(t *testing.T) {
	f := newForge(t)
	p := serve(t, f)
	if err := p.Post(t.Context(), commit("fedsync/web")); err != nil {
		t.Fatal(err)
	}
	if got, want := f.Builds(shaA)[0].URL, "https://bitbucket.org/team/web/commits/"+shaA; got != want {
		t.Errorf("the link is %s, want %s", got, want)
	}
	// List returns the status as posted, so it is not posted again after a restart.
	list, err := p.List(t.Context(), shaA, "fedsync/web")
	if err != nil || len(list) != 1 || !list[0].Same(commit("fedsync/web")) {
		t.Errorf("List = %+v, %v, want the posted status", list, err)
	}
}

func TestAnAccountsTokenIsSentWithItsName(t *testing.T) {
	f := newForge(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, _, ok := r.BasicAuth(); !ok || user != "ada@example.com" {
			t.Errorf("the user is %q", user)
		}
		f.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p := provider(t, server.URL, func() (string, error) { return "ada@example.com:" + statustest.Token, nil })
	if err := p.Post(t.Context(), commit("fedsync/web")); err != nil {
		t.Error(err)
	}
	p = provider(t, server.URL, func() (string, error) { return "ada@example.com:wrong-token-0123", nil })
	if err := p.Post(t.Context(), commit("fedsync/web")); !errors.Is(err, status.ErrUnauthorized) || strings.Contains(err.Error(), "wrong-token") {
		t.Errorf("Post with a wrong token = %v, want ErrUnauthorized without the token", err)
	}
}

func TestOpenListsChangesWithFullCommits(t *testing.T) {
	f := newForge(t)
	f.SetPullRequest(bitbuckettest.PullRequest{ID: 1, State: "DECLINED", SHA: shaB, Source: "a", Dest: "main"})
	f.SetPullRequest(bitbuckettest.PullRequest{ID: 2, SHA: shaB, Source: "b", Dest: "release"})
	f.SetPullRequest(bitbuckettest.PullRequest{ID: 3, Title: "One", SHA: shaA, Source: "c", Dest: "main"})
	f.SetPullRequest(bitbuckettest.PullRequest{ID: 4, Title: "Two", SHA: shaB, Source: "d", Dest: "main"})
	f.SetPullRequest(bitbuckettest.PullRequest{ID: 5, SHA: shaB, Source: "e", Dest: "main", Fork: "ada/web"})
	p := serve(t, f)
	want := []status.PullRequest{
		{Number: 4, Title: "Two", Head: shaB, Ref: "refs/heads/d", Base: "main"},
		{Number: 3, Title: "One", Head: shaA, Ref: "refs/heads/c", Base: "main"},
	}
	open, changed, err := p.Open(t.Context(), "main")
	if err != nil || !changed || !slices.Equal(statustest.Unversioned(t, open), want) {
		t.Errorf("Open = %+v, %v, %v, want %+v", open, changed, err, want)
	}
	f.Asked()
	if open, changed, err = p.Open(t.Context(), "main"); err != nil || changed || open != nil {
		t.Errorf("Open where nothing changed = %+v, %v, %v", open, changed, err)
	}
	if asked := f.Asked(); len(asked) != 1 {
		t.Errorf("where nothing changed, the requests were %v, want one", asked)
	}
	f.SetPullRequest(bitbuckettest.PullRequest{ID: 3, State: "MERGED", SHA: shaA, Source: "c", Dest: "main"})
	if open, changed, err = p.Open(t.Context(), "main"); err != nil || !changed || !slices.Equal(statustest.Unversioned(t, open), want[:1]) {
		t.Errorf("Open after a merge = %+v, %v, %v, want %+v", open, changed, err, want[:1])
	}
	for _, asked := range f.Asked() {
		if strings.Contains(asked, "/commit/") {
			t.Errorf("%s: a known commit was requested again", asked)
		}
	}
}

func TestThereIsOneCommentOfOurs(t *testing.T) {
	const marker, hidden = "<!-- fedsync/web/plan -->", "[//]: # (fedsync/web/plan)"
	for _, anonymous := range []bool{false, true} {
		f := newForge(t)
		f.Anonymous = anonymous
		f.SetPullRequest(bitbuckettest.PullRequest{ID: 5, SHA: shaA, Source: "a", Dest: "main"})
		f.AddComment(5, "{mallory}", hidden+"\n\nby somebody else")
		for range 120 { // more than a page
			f.AddComment(5, f.Account, "another comment of our account")
		}
		p := serve(t, f)
		for _, text := range []string{"", "first", "first", "second", "", "", strings.Repeat("third ", 10_000)} {
			if err := p.Comment(t.Context(), 5, marker, text); err != nil {
				t.Fatalf("Comment(%.20q) = %v", text, err)
			}
			ours := slices.DeleteFunc(f.Comments(5, f.Account), func(s string) bool { return !strings.HasPrefix(s, hidden) })
			if text == "" && len(ours) != 0 || text != "" && (len(ours) != 1 || !strings.HasPrefix(ours[0], hidden+"\n\n"+text[:5])) {
				t.Errorf("anonymous %v, after Comment(%.20q): %.60q", anonymous, text, ours)
			}
		}
		if got := f.Comments(5, "{mallory}"); len(got) != 1 || got[0] != hidden+"\n\nby somebody else" {
			t.Errorf("another account's comment is %q", got)
		}
	}
}
