package gce

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fedsync/fedsync/pkg/gcp"
	"github.com/fedsync/fedsync/pkg/gcp/gcptest"
)

// answering returns a client of a handler that answers in place of Compute Engine.
func answering(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c, err := New(t.Context(), Options{Project: gcptest.Project, Endpoint: server.URL, QPS: 1e6, Burst: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	c.pace = quickPace
	return c
}

func TestAnswersOfComputeEngineAreBounded(t *testing.T) {
	const token = "ya29.a-token-that-was-sent-0123456789"
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a list without end": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"items": {"zones/z": {"warning": {"message": "`)
			for chunk := strings.Repeat("x", 1<<20); ; {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		}, "more than 16 MiB"},
		"headers without end": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 10_000))
			}
		}, "headers of more than 256 KiB"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "elsewhere") {
				t.Error("a redirect was followed")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "307"},
		"a long refusal with a reason": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprintf(w, `{"error": {"code": 403, "message": %q, "errors": [{"reason": "accessNotConfigured"}]}}`,
				"enable it: "+token+" "+strings.Repeat("and again ", 400))
		}, "enable it"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := answering(t, test.answer)
			seen := c.Observe(t.Context(), gcp.Scope{Owner: standOwner})
			var err error
			for _, e := range seen.Errors {
				err = errors.Join(err, e.Err)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), token) {
				t.Errorf("error %.300v, want %q and no token", err, test.want)
			}
			if err != nil && len(err.Error()) > 100_000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}
