package gitea_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/badforge"
	"github.com/fedsync/fedsync/internal/canary"
	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/gitea"
)

// misbehaving returns a provider for a forge that misbehaves, to which it shows a token.
func misbehaving(t *testing.T, token string) (*badforge.Server, *gitea.Provider) {
	t.Helper()
	server := badforge.New(t, http.NotFoundHandler())
	p, err := gitea.New(gitea.Config{BaseURL: server.URL, Owner: "team", Repository: "web", Token: func() (string, error) { return token, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return server, p
}

func TestNothingThatAForgeSendsBackIsSaid(t *testing.T) {
	token := canary.New("token of the forge")
	server, p := misbehaving(t, token)
	search := canary.NewSearch(map[string]string{"token": token})
	for _, echo := range append(badforge.Echoes(), badforge.ForgeEchoes()...) {
		for _, shape := range canary.Shapes() {
			mode := echo.Mode(shape)
			server.SetMode(mode)
			listed, list := p.List(t.Context(), shaA, shape.Write(token))
			posted := p.Post(t.Context(), status.Commit{SHA: shaA, Context: "fedsync", State: status.Success, Description: "well"})
			if server.Asked() == 0 {
				t.Fatalf("%s: the forge was not asked", mode.Name)
			}
			for _, c := range listed {
				c.Context = "" // as it was asked for
				listed[0] = c
			}
			for _, f := range search.In(fmt.Sprint(listed, list, posted)) {
				t.Errorf("%s: by %v: %q", mode.Name, f.By, f.Near)
			}
		}
	}
	if strayed := server.Strayed(); len(strayed) > 0 {
		t.Errorf("another host was sent the token: %.300s", strayed[0])
	}
}

func TestAForgesEndlessAnswersAreBrokenOff(t *testing.T) {
	server, p := misbehaving(t, canary.New("token of the forge"))
	for _, mode := range badforge.Endless() {
		server.SetMode(mode)
		more, began := badforge.WatchMemory(t), time.Now()
		_, list := p.List(t.Context(), shaA, "fedsync")
		posted := p.Post(t.Context(), status.Commit{SHA: shaA, Context: "fedsync", State: status.Success})
		took, peak := time.Since(began), more()
		if list == nil || posted == nil || took > 10*time.Second || peak > 64<<20 {
			t.Errorf("%s: %v, %d MiB: %v, %v", mode.Name, took, peak>>20, list, posted)
		}
		t.Logf("%s: %v, %d MiB: %v", mode.Name, took.Round(time.Millisecond), peak>>20, posted)
	}
	if strayed := server.Strayed(); len(strayed) > 0 {
		t.Errorf("another host was sent the token: %.300s", strayed[0])
	}
}
