package source_test

import (
	"errors"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

// wantMessage reads a repository that cannot be read, and checks the error's kind and
// words.
func wantMessage(t *testing.T, opts source.Options, kind error, words ...string) {
	t.Helper()
	_, err := open(t, opts).Snapshot(t.Context(), "")
	if !errors.Is(err, kind) {
		t.Errorf("Snapshot = %v, want %v", err, kind)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("Snapshot = %v, want an error with %q", err, word)
		}
	}
}

func TestARedirectThatDropsTheTokenIsNamed(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(other.Close)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.RequestURI(), http.StatusMovedPermanently)
	}))
	t.Cleanup(front.Close)
	host := strings.TrimPrefix(other.URL, "http://")
	wantMessage(t, source.Options{URL: front.URL + "/a.git", TokenFile: file(t, "s3cret")}, source.ErrUnauthorised,
		"redirects to "+host, "the token is not sent", "set its new URL")
}

func TestAWebPageIsNoGitServer(t *testing.T) {
	login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>Log in</title>"))
	}))
	t.Cleanup(login.Close)
	wantMessage(t, source.Options{URL: login.URL + "/a.git", TokenFile: file(t, "s3cret")}, source.ErrUnreadable,
		"a web page, such as a login page", "check the URL")
}

func TestASlashAtTheEndOfAURLChangesNothing(t *testing.T) {
	repo := sourcetest.New(t)
	sha := repo.Push("first", map[string]string{"a": "1"})
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	// Called as by a web server that leaves the path unchanged.
	server := httptest.NewServer(&cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{
		"GIT_PROJECT_ROOT=" + filepath.Dir(repo.Path), "GIT_HTTP_EXPORT_ALL=1",
	}})
	t.Cleanup(server.Close)
	for _, end := range []string{"", "/", "//"} {
		s, err := open(t, source.Options{URL: server.URL + "/" + filepath.Base(repo.Path) + end}).Snapshot(t.Context(), "")
		if err != nil || s.Revision.SHA != sha {
			t.Errorf("with %q at the end: %v, %v, want %s", end, s.Revision, err, sha)
		}
	}
}

func TestACommitMessageThatIsTooLongIsNamed(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"a": "1"})
	repo.Import("commit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata <<END\n" +
		strings.Repeat(strings.Repeat("long ", 20)+"\n", 12_000) + "END\nfrom refs/heads/main^0\n\n")
	sha := strings.TrimSpace(repo.Git("rev-parse", "refs/heads/main"))
	for name, opts := range transports(t, repo) {
		t.Run(name, func(t *testing.T) {
			wantMessage(t, opts, source.ErrUnreadable, "commit "+sha+" has ", "its message is too long")
		})
	}
}

func TestAPartialCloneIsNamed(t *testing.T) {
	repo := sourcetest.New(t)
	repo.Push("first", map[string]string{"apps/a": "1"})
	repo.Git("config", "uploadpack.allowFilter", "true")
	partial := t.TempDir()
	repo.Git("clone", "--quiet", "--bare", "--filter", "tree:0", "file://"+repo.Path, partial)
	wantMessage(t, source.Options{URL: partial}, source.ErrUnreadable, "the clone is partial", "git fetch --refetch")
}
