package statustest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fedsync/fedsync/pkg/status"
	"github.com/fedsync/fedsync/pkg/status/post"
)

// acceptsTheLongest posts the longest status that fedsync permits. A link that the forge
// does not accept must not cost the status, and is never cut, because a cut link would be
// broken.
func (s *suite) acceptsTheLongest(t *testing.T) {
	c := s.commit(status.Failure)
	c.Context = "fedsync/" + strings.Repeat("x", 255-len("fedsync/"))
	s.mustPost(t, c)
	s.mustHold(t, c)

	const page = "https://fedsync.example/"
	c = s.commit(status.Success)
	c.TargetURL = page + strings.Repeat("x", 1000)
	s.mustPost(t, c)
	posted := s.Posted(t, c.SHA, c.Context)
	if len(posted) == 0 || posted[len(posted)-1].State != status.Success {
		t.Fatalf("a status with a long link was not recorded: %+v", posted)
	}
	if got := posted[len(posted)-1].TargetURL; got != c.TargetURL && strings.HasPrefix(got, page) {
		t.Errorf("the link was cut to %d bytes", len(got))
	}
}

// postsNothingTwice has a Poster post a status whose answer is lost. Then other Posters
// want the same, as after restarts.
func (s *suite) postsNothingTwice(t *testing.T) {
	s.gate.loseAnswer()
	flush := func(p status.Provider) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		poster := post.New(p, post.Options{})
		for range 2 {
			poster.Want(s.commit(status.Success))
		}
		if err := poster.Flush(ctx); s.clean(t, err) != nil {
			t.Fatalf("Flush = %v", err)
		}
	}
	flush(s.p)
	s.mustHold(t, s.commit(status.Success))
	first, writes := s.Posted(t, s.SHA, "fedsync/web"), s.gate.writes.Load()
	if len(first) != 1 {
		t.Errorf("%d statuses after a lost answer, want 1", len(first))
	}
	for range 2 {
		flush(s.another(t))
	}
	again := s.Posted(t, s.SHA, "fedsync/web")
	if n := s.gate.writes.Load(); n != writes || !slices.Equal(again, first) {
		t.Errorf("the status was posted again: %d more requests, %+v", n-writes, again)
	}
}

func (s *suite) reportsFull(t *testing.T) {
	if s.Fill == nil {
		return
	}
	s.Fill()
	if err := s.post(t, s.commit(status.Success)); !errors.Is(err, status.ErrFull) {
		t.Errorf("Post to a full commit = %v, want ErrFull", err)
	}
	c := s.commit(status.Success)
	c.SHA = s.OtherSHA
	s.mustPost(t, c)
}

// staysWithItsHost tests a forge that redirects to another host.
func (s *suite) staysWithItsHost(t *testing.T) {
	var strayed atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			strayed.Add(1)
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(other.Close)
	elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1) // the same machine under another name is another host
	for _, code := range []int{301, 302, 303, 307, 308} {
		redirect := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere+r.URL.RequestURI(), code) }
		s.gate.set(redirect)
		err := s.post(t, s.commit(status.Pending))
		if moved, ok := errors.AsType[*status.MovedError](err); err == nil || !s.Git && (!ok || moved.Host != elsewhere) {
			t.Errorf("Post redirected with %d = %v, want the other address", code, err)
		}
		if list, err := s.p.List(t.Context(), s.SHA, "fedsync/web"); s.clean(t, err) == nil {
			t.Errorf("List redirected with %d = %v and no error", code, list)
		}
		s.gate.set(func(w http.ResponseWriter, r *http.Request) {
			if !writes(r) {
				s.Forge.ServeHTTP(w, r)
				return
			}
			redirect(w, r)
		})
		if err := s.post(t, s.commit(status.Pending)); err == nil {
			t.Errorf("Post with its write redirected with %d = no error", code)
		}
	}
	if n := strayed.Load(); n > 0 {
		t.Errorf("%d requests sent the credential to another host", n)
	}
	if n := len(s.Posted(t, s.SHA, "fedsync/web")); n > 0 {
		t.Errorf("%d statuses were recorded", n)
	}
}

func (s *suite) namesWhatMoved(t *testing.T) {
	if s.Rename == nil {
		return
	}
	s.mustPost(t, s.commit(status.Pending))
	name := s.Rename()
	calls := map[string]func() error{
		"Post": func() error { return s.p.Post(t.Context(), s.commit(status.Success)) },
		"List": func() error { _, err := s.p.List(t.Context(), s.SHA, "fedsync/web"); return err },
	}
	if prober, ok := s.p.(status.Prober); ok {
		calls["Probe"] = func() error { return prober.Probe(t.Context()) }
	}
	for what, call := range calls {
		err := s.clean(t, call())
		if moved, ok := errors.AsType[*status.MovedError](err); !ok || moved.Name != name {
			t.Errorf("%s of a renamed repository = %v, want its new name", what, err)
		}
	}
}

// probes tests what Probe reports about the credential.
func (s *suite) probes(t *testing.T) {
	if _, ok := s.p.(status.Prober); !ok {
		return
	}
	probe := func() error {
		p, _ := s.another(t).(status.Prober) // as s.p is one
		return s.clean(t, p.Probe(t.Context()))
	}
	if err := probe(); err != nil {
		t.Errorf("Probe of a sufficient credential = %v", err)
	}
	s.token = "expired"
	if err := probe(); !errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Probe of a wrong token = %v, want ErrUnauthorized", err)
	}
	s.token = Token
	s.gate.set(answer(http.StatusBadGateway, nil))
	if err := probe(); err == nil || errors.Is(err, status.ErrUnauthorized) {
		t.Errorf("Probe of an unreachable forge = %v, want an error that proves nothing about the token", err)
	}
	s.gate.set(nil)
	for _, lack := range s.Lacking {
		lack.Take()
		if err := probe(); !errors.Is(err, status.ErrUnauthorized) || !strings.Contains(err.Error(), lack.Words) {
			t.Errorf("Probe of an insufficient credential = %v, want ErrUnauthorized and %q", err, lack.Words)
		}
	}
	for _, context := range []string{"fedsync", "fedsync/web"} {
		if posted := s.Posted(t, s.SHA, context); len(posted) > 0 {
			t.Errorf("Probe posted %+v", posted)
		}
	}
}
