package source_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/fedsync/fedsync/internal/badforge"
	"github.com/fedsync/fedsync/internal/canary"
	"github.com/fedsync/fedsync/pkg/source"
	"github.com/fedsync/fedsync/pkg/source/sourcetest"
)

// behindAForge returns a repository that is read through a server that misbehaves,
// with a token.
func behindAForge(t *testing.T, token string) (*badforge.Server, func() *source.Source) {
	t.Helper()
	repo := sourcetest.New(t)
	repo.Push("one", map[string]string{"a.yaml": "a: b\n"})
	good := sourcetest.ServeHTTP(t, repo, token)
	s := badforge.New(t, http.HandlerFunc(good.ServeHTTP))
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, func() *source.Source {
		src, err := source.Open(source.Options{
			URL: s.URL + "/" + filepath.Base(repo.Path), TokenFile: file, Timeout: 10 * time.Second, CacheDir: t.TempDir(),
		}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
}

func TestNothingThatAGitServerSendsBackIsRepeated(t *testing.T) {
	token := canary.New("token of the Git server")
	server, open := behindAForge(t, token)
	search := canary.NewSearch(map[string]string{"token": token})
	src := open()
	for _, echo := range append(badforge.Echoes(), badforge.GitEchoes()...) {
		if echo.Push() {
			continue
		}
		for _, shape := range canary.Shapes() {
			mode := echo.Mode(shape)
			server.SetMode(mode)
			snapshot, err := src.Snapshot(t.Context(), "")
			if err == nil && server.Asked() == 0 {
				t.Fatalf("%s: the server got no request", mode.Name)
			}
			said := snapshot.Revision.Ref + " " + snapshot.Subject.String()
			if err != nil {
				said = err.Error()
			}
			for _, f := range search.In(said) {
				t.Errorf("%s: by %v: %q", mode.Name, f.By, f.Near)
			}
		}
	}
	if strayed := server.Strayed(); len(strayed) > 0 {
		t.Errorf("another host was sent the token: %.300s", strayed[0])
	}
	server.SetMode(badforge.Mode{})
	if _, err := src.Snapshot(t.Context(), ""); err != nil {
		t.Errorf("a server that behaves again: %v", err)
	}
}

// No answer makes the source hang, or use more memory than a fetch may use.
func TestAGitServersEndlessAnswersAreCutOff(t *testing.T) {
	server, open := behindAForge(t, canary.New("token of the Git server"))
	for _, mode := range append(badforge.Endless(), badforge.EndlessGit()...) {
		if mode.Push() {
			continue
		}
		src := open() // with its own limits
		server.SetMode(mode)
		more := badforge.WatchMemory(t)
		began := time.Now()
		_, err := src.Snapshot(t.Context(), "")
		took := time.Since(began)
		if err == nil {
			t.Errorf("%s: no error", mode.Name)
		}
		if took > 15*time.Second {
			t.Errorf("%s: took %v", mode.Name, took)
		}
		peak := more()
		if peak > 200<<20 {
			t.Errorf("%s: %d MiB more than before, want 200 at most", mode.Name, peak>>20)
		}
		t.Logf("%s: %v, %d MiB: %.300v", mode.Name, took.Round(time.Millisecond), peak>>20, err)
	}
	if strayed := server.Strayed(); len(strayed) > 0 {
		t.Errorf("another host was sent the token: %.300s", strayed[0])
	}
}
