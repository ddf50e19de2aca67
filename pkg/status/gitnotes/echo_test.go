package gitnotes

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/fedsync/fedsync/internal/badforge"
	"github.com/fedsync/fedsync/internal/canary"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/statustest"
)

// misbehaving returns a provider for a Git server that misbehaves, to which it shows a
// token, and a commit that is there.
func misbehaving(t *testing.T, token string) (*badforge.Server, func() *Provider, string) {
	t.Helper()
	r := newRepository(t)
	good := r.overHTTP(t)
	server := badforge.New(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.SetBasicAuth("git", statustest.Token) // what the one that behaves wants
		good.ServeHTTP(w, req)
	}))
	auth := func() (transport.AuthMethod, error) { return &githttp.BasicAuth{Username: "git", Password: token}, nil }
	return server, func() *Provider {
		p, err := New(Config{URL: server.URL + "/web/.git", Auth: auth})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}, r.shas[0]
}

func TestNothingThatAGitServerSendsBackIsSaid(t *testing.T) {
	token := canary.New("token of the Git server")
	server, open, sha := misbehaving(t, token)
	search := canary.NewSearch(map[string]string{"token": token})
	for _, echo := range append(badforge.Echoes(), badforge.GitEchoes()...) {
		for _, shape := range canary.Shapes() {
			mode := echo.Mode(shape)
			server.SetMode(mode)
			p := open() // which has no copy of the notes
			listed, list := p.List(t.Context(), sha, "fedsync/web")
			posted := p.Post(t.Context(), wanted(sha, status.Success, shape.Name))
			for _, f := range search.In(fmt.Sprint(listed, list, posted)) {
				t.Errorf("%s: by %v: %q", mode.Name, f.By, f.Near)
			}
		}
	}
	if strayed := server.Strayed(); len(strayed) > 0 {
		t.Errorf("another host was sent the token: %.300s", strayed[0])
	}
	server.SetMode(badforge.Mode{})
	if err := open().Post(t.Context(), wanted(sha, status.Success, "well")); err != nil {
		t.Errorf("a server that behaves again: %v", err)
	}
}

func TestAGitServersEndlessAnswersAreBrokenOff(t *testing.T) {
	server, open, sha := misbehaving(t, canary.New("token of the Git server"))
	if err := open().Post(t.Context(), wanted(sha, status.Success, "well")); err != nil {
		t.Fatal(err)
	}
	for i, mode := range append(badforge.Endless(), badforge.EndlessGit()...) {
		server.SetMode(mode)
		more, began := badforge.WatchMemory(t), time.Now()
		_, list := open().List(t.Context(), sha, "fedsync/web")
		posted := open().Post(t.Context(), wanted(sha, status.Pending, fmt.Sprint(i)))
		took, peak := time.Since(began), more()
		if posted == nil || list == nil && !mode.Push() || took > 15*time.Second || peak > 250<<20 {
			t.Errorf("%s: %v, %d MiB: %v, %v", mode.Name, took, peak>>20, list, posted)
		}
		t.Logf("%s: %v, %d MiB: %v", mode.Name, took.Round(time.Millisecond), peak>>20, posted)
	}
	if strayed := server.Strayed(); len(strayed) > 0 {
		t.Errorf("another host was sent the token: %.300s", strayed[0])
	}
}
