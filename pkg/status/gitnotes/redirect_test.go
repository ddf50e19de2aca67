package gitnotes

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/fedsync/fedsync/pkg/status"
)

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
	p, err := New(Config{URL: front.URL + "/clone/.git", Auth: basic(token), CABundle: certificate(front)})
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
