package gitnotes

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/badforge"
	"github.com/fedsync/fedsync/internal/canary"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

// misbehaving returns a misbehaving Git server, its provider, which sends it a token, and
// an existing commit.
func misbehaving(t *testing.T, token string) (*badforge.Server, func() *Provider, string) {
	t.Helper()
	r := newRepository(t)
	good := r.overHTTP(t)
	server := badforge.New(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.SetBasicAuth("git", statustest.Token) // the token of the server that behaves
		good.ServeHTTP(w, req)
	}))
	auth := basic(func() (string, error) { return token, nil })
	return server, func() *Provider {
		p, err := New(Config{URL: server.URL + "/clone/.git", Auth: auth})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}, r.shas[0]
}

func TestNothingThatAGitServerSendsBackIsRepeated(t *testing.T) {
	token := canary.New("token of the Git server")
	server, open, sha := misbehaving(t, token)
	search := canary.NewSearch(map[string]string{"token": token})
	shapes := canary.Shapes()
	for i, echo := range append(badforge.Echoes(), badforge.GitEchoes()...) {
		for j, shape := range shapes {
			if (i+j)%7 != 0 && os.Getenv("FEDSYNC_TEST_LONG") == "" {
				continue // if the ref seems to move, the retries take seconds
			}
			mode := echo.Mode(shape)
			server.SetMode(mode)
			p := open() // without a copy of the notes
			listed, list := p.List(t.Context(), sha, "fedsync/web")
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			posted := p.Post(ctx, wanted(sha, status.Success, shape.Name))
			cancel()
			for _, f := range search.In(fmt.Sprint(listed, list, posted)) {
				t.Errorf("%s: by %v: %q", mode.Name, f.By, f.Near)
			}
		}
	}
	if strayed := server.Strayed(); len(strayed) > 0 {
		t.Errorf("the token was sent to another host: %.300s", strayed[0])
	}
	server.SetMode(badforge.Mode{})
	if err := open().Post(t.Context(), wanted(sha, status.Success, "well")); err != nil {
		t.Errorf("a server that behaves again: %v", err)
	}
}

func TestAGitServersEndlessAnswersAreAborted(t *testing.T) {
	server, open, sha := misbehaving(t, canary.New("token of the Git server"))
	if err := open().Post(t.Context(), wanted(sha, status.Success, "well")); err != nil {
		t.Fatal(err)
	}
	for i, mode := range append(badforge.Endless(), badforge.EndlessGit()...) {
		server.SetMode(mode)
		more, began := badforge.WatchMemory(t), time.Now()
		_, list := open().List(t.Context(), sha, "fedsync/web")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		posted := open().Post(ctx, wanted(sha, status.Pending, fmt.Sprint(i)))
		cancel()
		took, peak := time.Since(began), more()
		if posted == nil || list == nil && !mode.Push() || took > 30*time.Second || peak > 250<<20 {
			t.Errorf("%s: %v, %d MiB: %v, %v", mode.Name, took, peak>>20, list, posted)
		}
		t.Logf("%s: %v, %d MiB: %v", mode.Name, took.Round(time.Millisecond), peak>>20, posted)
	}
	if strayed := server.Strayed(); len(strayed) > 0 {
		t.Errorf("the token was sent to another host: %.300s", strayed[0])
	}
}
