package gitnotes

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
)

func TestRedirectsDoNotCarryTheTokenElsewhere(t *testing.T) {
	r := newRepository(t)
	git := r.overHTTP(t)
	var leaked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		leaked.Store(leaked.Load() || request.Header.Get("Authorization") != "")
		http.NotFound(w, request)
	}))
	t.Cleanup(other.Close)
	for name, redirected := range map[string]func(*http.Request) bool{
		"at once":            func(*http.Request) bool { return true },
		"when it is to push": func(r *http.Request) bool { return r.Method == http.MethodPost },
	} {
		for _, code := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				if redirected(request) {
					// The same machine under another name is another host.
					http.Redirect(w, request, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+request.URL.RequestURI(), code)
					return
				}
				git.ServeHTTP(w, request)
			}))
			p, err := New(Config{URL: front.URL + "/web/.git", Auth: basic(token)})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Post(t.Context(), wanted(r.shas[0], status.Success, "3/3 clusters")); err == nil {
				t.Errorf("redirected %s with %d: no error", name, code)
			}
			if _, err := p.List(t.Context(), r.shas[0], "fedsync/web"); err == nil && name == "at once" {
				t.Errorf("redirected %s with %d: no error of List", name, code)
			}
			front.Close()
		}
	}
	if leaked.Load() {
		t.Error("the token was sent to another host")
	}
}

func TestARedirectFromHTTPSToHTTPIsRefused(t *testing.T) {
	r := newRepository(t)
	var leaked atomic.Bool
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		leaked.Store(leaked.Load() || request.Header.Get("Authorization") != "")
		http.NotFound(w, request)
	}))
	t.Cleanup(plain.Close)
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		http.Redirect(w, request, plain.URL+request.URL.RequestURI(), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(front.Close)
	p, err := New(Config{URL: front.URL + "/web/.git", Auth: basic(token), CABundle: certificate(front)})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Post(t.Context(), wanted(r.shas[0], status.Success, "3/3 clusters")); err == nil || leaked.Load() {
		t.Errorf("Post = %v, the token sent in clear text: %t", err, leaked.Load())
	}
}

func certificate(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
