package gitnotes

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/fedsync/fedsync/pkg/source/sourcetest"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

// repository is created by git, with two commits. Unlike those of sourcetest it need not
// be bare, and git may refuse.
type repository struct {
	dir  string
	shas [2]string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	repo := sourcetest.New(t)
	r := &repository{dir: repo.Work}
	for i := range r.shas {
		r.shas[i] = repo.Commit(fmt.Sprintf("change %d", i), nil)
	}
	return r
}

// git runs git and fails the test if it fails.
func (r *repository) git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.tryGit(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (r *repository) tryGit(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = r.dir
	cmd.Env = sourcetest.Environment()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// sound fails the test if git finds a fault in the repository.
func (r *repository) sound(t *testing.T) {
	t.Helper()
	r.git(t, "fsck", "--strict", "--no-dangling")
	if _, err := os.Stat(filepath.Join(r.gitDir(t), Ref+".lock")); err == nil {
		t.Error("the ref's lock was left behind")
	}
}

func (r *repository) gitDir(t *testing.T) string {
	t.Helper()
	return r.git(t, "rev-parse", "--path-format=absolute", "--git-common-dir")
}

func newProvider(t *testing.T, url string) *Provider {
	t.Helper()
	p, err := New(Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wanted(sha string, s status.State, words string) status.Commit {
	return status.Commit{
		SHA: sha, Context: "fedsync/web", State: s, Description: words,
		TargetURL: "https://fedsync.example/revisions/" + sha,
	}
}

// overHTTP serves the repository as git does, to clients with the token.
func (r *repository) overHTTP(t *testing.T) http.Handler {
	t.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	r.git(t, "config", "http.receivepack", "true")
	r.git(t, "config", "receive.denyCurrentBranch", "ignore")
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stderr.Close() })
	backend := &cgi.Handler{
		Path: path, Args: []string{"http-backend"}, Stderr: stderr,
		Env: append(sourcetest.Environment(), "GIT_PROJECT_ROOT="+filepath.Dir(r.dir), "GIT_HTTP_EXPORT_ALL=1"),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if _, password, _ := request.BasicAuth(); password != statustest.Token {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, request)
	})
}

func basic(token func() (string, error)) func() (transport.AuthMethod, error) {
	return func() (transport.AuthMethod, error) {
		password, err := token()
		if err != nil {
			return nil, err
		}
		return &githttp.BasicAuth{Username: "fedsync", Password: password}, nil
	}
}

// noteOf returns a status as git shows it.
func (r *repository) noteOf(t *testing.T, sha, context string) []status.Commit {
	t.Helper()
	out, err := r.tryGit(t, "notes", "--ref=fedsync", "show", sha)
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return nil // git has no note
	}
	if c, ok := findLine([]byte(out), sha, context); ok {
		return []status.Commit{c}
	}
	return nil
}

// recorder records the requests of one client at a time.
type recorder struct {
	next  http.Handler
	asked *[]string
}

func (r recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	*r.asked = append(*r.asked, strings.TrimPrefix(request.URL.RequestURI(), "/clone/.git/"))
	r.next.ServeHTTP(w, request)
}
