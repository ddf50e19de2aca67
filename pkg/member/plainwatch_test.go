package member

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOnlyWatchesAreAskedForPlain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Accept-Encoding")) // the test finds out what is missing
	}))
	defer server.Close()
	client := &http.Client{Transport: plainWatches{http.DefaultTransport}}
	for path, want := range map[string]string{
		"/api/v1/services":                          "gzip",
		"/api/v1/services?watch=true":               "identity",
		"/api/v1/services?timeoutSeconds=9&watch=1": "identity",
		"/api/v1/services?watch=false":              "gzip",
	} {
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close() // it was read to its end, or the error is known
		if err != nil || string(got) != want {
			t.Errorf("GET %s accepts %q (%v), want %q", path, got, err, want)
		}
	}
}
