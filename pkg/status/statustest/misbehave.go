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

// misbehaving returns a misbehaving forge, its provider and the provider's token. It
// returns nil if no credential is sent that could be echoed, and for Git, whose answers
// have another format.
func (s *suite) misbehaving(t *testing.T) (*badforge.Server, status.Provider, string) {
	if s.Git || s.Key {
		return nil, nil, ""
	}
	token := canary.New("token of the forge")
	server := badforge.New(t, http.NotFoundHandler())
	p := s.New(t, server.URL, func() (string, error) { return token, nil })
	t.Cleanup(func() {
		if strayed := server.Strayed(); len(strayed) > 0 {
			t.Errorf("the token was sent to another host: %.300s", strayed[0])
		}
	})
	return server, p, token
}

// repeatsNothing tests a forge that echoes its credential, in every place and shape.
func (s *suite) repeatsNothing(t *testing.T) {
	server, p, token := s.misbehaving(t)
	if server == nil {
		return
	}
	search := canary.NewSearch(map[string]string{"token": token})
	for _, echo := range append(badforge.Echoes(), badforge.ForgeEchoes()...) {
		for _, shape := range canary.Shapes() {
			mode := echo.Mode(shape)
			server.SetMode(mode)
			listed, list := p.List(t.Context(), s.SHA, shape.Write(token))
			posted := p.Post(t.Context(), s.commit(status.Success))
			if server.Asked() == 0 {
				t.Fatalf("%s: the forge received no request", mode.Name)
			}
			for i := range listed {
				listed[i].Context = "" // it is the requested one
			}
			for _, f := range search.In(fmt.Sprint(listed, list, posted)) {
				t.Errorf("%s: by %v: %q", mode.Name, f.By, f.Near)
			}
		}
	}
}

// abortsEndless tests a forge whose answers never end.
func (s *suite) abortsEndless(t *testing.T) {
	server, p, _ := s.misbehaving(t)
	if server == nil {
		return
	}
	for _, mode := range badforge.Endless() {
		server.SetMode(mode)
		more, began := badforge.WatchMemory(t), time.Now()
		_, list := p.List(t.Context(), s.SHA, "fedsync/web")
		posted := p.Post(t.Context(), s.commit(status.Success))
		took, peak := time.Since(began), more()
		if list == nil || posted == nil || took > time.Minute || peak > 64<<20 {
			t.Errorf("%s: %v, %d MiB: %v, %v", mode.Name, took, peak>>20, list, posted)
		}
		t.Logf("%s: %v, %d MiB: %v", mode.Name, took.Round(time.Millisecond), peak>>20, posted)
	}
}
