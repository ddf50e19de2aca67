package statustest

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/fedsync/fedsync/internal/badforge"
	"github.com/fedsync/fedsync/internal/canary"
	"github.com/fedsync/fedsync/pkg/status"
)

// Misbehave asks a provider of a forge that sends its credential back, in every place
// and shape, and of one that answers without end: nothing of the credential is said,
// and no answer is read to an end that it has not. Sha is any commit.
func Misbehave(t *testing.T, sha string, newProvider func(t *testing.T, baseURL string, token func() (string, error)) status.Provider) {
	t.Helper()
	token := canary.New("token of the forge")
	server := badforge.New(t, http.NotFoundHandler())
	p := newProvider(t, server.URL, func() (string, error) { return token, nil })
	commit := status.Commit{SHA: sha, Context: "fedsync", State: status.Success, Description: "well"}
	t.Run("EchoesAreNotSaid", func(t *testing.T) { echoes(t, server, p, commit, token) })
	t.Run("EndlessAnswersAreBrokenOff", func(t *testing.T) { endless(t, server, p, commit) })
	if strayed := server.Strayed(); len(strayed) > 0 {
		t.Errorf("another host was sent the token: %.300s", strayed[0])
	}
}

func echoes(t *testing.T, server *badforge.Server, p status.Provider, commit status.Commit, token string) {
	search := canary.NewSearch(map[string]string{"token": token})
	for _, echo := range append(badforge.Echoes(), badforge.ForgeEchoes()...) {
		for _, shape := range canary.Shapes() {
			mode := echo.Mode(shape)
			server.SetMode(mode)
			listed, list := p.List(t.Context(), commit.SHA, shape.Write(token))
			posted := p.Post(t.Context(), commit)
			if server.Asked() == 0 {
				t.Fatalf("%s: the forge was not asked", mode.Name)
			}
			for i := range listed {
				listed[i].Context = "" // as it was asked for
			}
			for _, f := range search.In(fmt.Sprint(listed, list, posted)) {
				t.Errorf("%s: by %v: %q", mode.Name, f.By, f.Near)
			}
		}
	}
}

func endless(t *testing.T, server *badforge.Server, p status.Provider, commit status.Commit) {
	for _, mode := range badforge.Endless() {
		server.SetMode(mode)
		more, began := badforge.WatchMemory(t), time.Now()
		_, list := p.List(t.Context(), commit.SHA, commit.Context)
		posted := p.Post(t.Context(), commit)
		took, peak := time.Since(began), more()
		if list == nil || posted == nil || took > 10*time.Second || peak > 64<<20 {
			t.Errorf("%s: %v, %d MiB: %v, %v", mode.Name, took, peak>>20, list, posted)
		}
		t.Logf("%s: %v, %d MiB: %v", mode.Name, took.Round(time.Millisecond), peak>>20, posted)
	}
}
