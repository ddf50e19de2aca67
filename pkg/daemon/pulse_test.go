package daemon

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/source"
)

var errUnreadable = errors.New("fetch https://forge.example/team/web.git: connection refused")

// probed returns the answer to a probe.
func probed(t *testing.T, d *Daemon, path string) (code int, text string) {
	t.Helper()
	w := httptest.NewRecorder()
	d.page().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestHealthzFailsWhereTheLoopHangsAndNotWhereItIsIdle(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		s := stage(t, cfg)
		defer s.stop()
		s.push("one", good())
		s.pass(time.Minute)
		for range 120 {
			s.pass(5*time.Second + time.Millisecond)
			if code, text := probed(t, s.Daemon, "/healthz"); code != http.StatusOK {
				t.Fatalf("an idle loop: %d %s, want 200", code, text)
			}
		}

		letGo := make(chan struct{})
		s.hang.Store(&letGo)
		s.wait(maxTurn - turnInterval)
		if code, text := probed(t, s.Daemon, "/healthz"); code != http.StatusOK {
			t.Errorf("a loop that has hung for less than a minute: %d %s, want 200", code, text)
		}
		s.wait(2 * turnInterval)
		code, text := probed(t, s.Daemon, "/healthz")
		if code != http.StatusServiceUnavailable || !strings.Contains(text, "the loop has not completed a turn for 1m") {
			t.Errorf("a loop that has hung for a minute: %d %s, want 503 with the reason", code, text)
		}
		for _, path := range []string{"/", "/api/v1/report", "/readyz", "/metrics"} {
			if code, text := probed(t, s.Daemon, path); code != http.StatusOK {
				t.Errorf("GET %s while the loop hangs: %d %s, want 200", path, code, text)
			}
		}

		s.hang.Store(nil)
		close(letGo)
		s.pass(time.Second)
		if code, text := probed(t, s.Daemon, "/healthz"); code != http.StatusOK {
			t.Errorf("a loop that turns again: %d %s, want 200", code, text)
		}
	})
}

func TestReadyzFailsUntilTheRepositoryCouldBeReadOnce(t *testing.T) {
	cfg := stagedConfig(t)
	synctest.Test(t, func(t *testing.T) {
		s := stage(t, cfg)
		defer s.stop()
		want := func(when string, wantCode int, words string) {
			t.Helper()
			s.pass(time.Minute)
			if code, text := probed(t, s.Daemon, "/readyz"); code != wantCode || !strings.Contains(text, words) {
				t.Errorf("%s: %d %s, want %d with %q", when, code, text, wantCode, words)
			}
			if code, text := probed(t, s.Daemon, "/healthz"); code != http.StatusOK {
				t.Errorf("%s: /healthz is %d %s, want 200: a restart does not fix a repository", when, code, text)
			}
		}
		want("nothing was found", http.StatusServiceUnavailable, "the repository has not been read yet")
		s.events.put(source.Event{Err: errUnreadable})
		want("it cannot be read", http.StatusServiceUnavailable, errUnreadable.Error())
		// A mistake in it must be fixed by the committer, and is reported on the commit.
		s.events.put(source.Event{Snapshot: &federation.Snapshot{
			Revision: federation.Revision{Ref: "main", SHA: shaOf("empty")}, Files: s.files,
		}})
		want("it has no fedsync.yaml", http.StatusOK, "ok")
		s.push("one", good())
		want("it is read", http.StatusOK, "ok")
		s.events.put(source.Event{Err: errUnreadable})
		want("it cannot be read any more", http.StatusOK, "ok")
	})
}
