package web

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/fedsync/fedsync/internal/untrusted"
	"github.com/fedsync/fedsync/pkg/federation"
	"github.com/fedsync/fedsync/pkg/metrics"
	"github.com/fedsync/fedsync/pkg/status"
)

var (
	errNotFetched = errors.New("fetch https://forge.example/team/web.git: connection refused")
	errHung       = errors.New("the loop has not completed a turn for 1m5s")
)

func TestMain(m *testing.M) {
	if os.Getenv(servesEnv) != "" {
		if err := serveStrangers(); err != nil {
			log.Fatal(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	newestSHA  = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
	earlierSHA = "9f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c"
	similarSHA = "9f8e7d6c0000000000000000000000000000000f"
)

// site has a newest report, on newestSHA, and earlier reports on earlierSHA and
// similarSHA.
func site(t *testing.T) Options {
	newest := reports(t)["failure"]
	earlier := map[string]*status.Report{}
	for _, sha := range []string{earlierSHA, similarSHA} {
		r := *reports(t)["success"]
		r.Revision.SHA = sha
		r.Description = untrusted.New("this was " + sha)
		earlier[sha] = &r
	}
	return Options{
		Report: func() *status.Report { return newest },
		Revision: func(sha string) (*status.Report, bool) {
			r, ok := earlier[sha]
			return r, ok
		},
		Revisions: func() []federation.Revision { return revisions },
	}
}

func TestEveryPathHasItsAnswer(t *testing.T) {
	h := New(site(t))
	starting := New(Options{Ready: func() error { return errNotFetched }})
	hung := New(Options{Alive: func() error { return errHung }})
	for _, c := range []struct {
		name         string
		h            http.Handler
		method, path string
		code         int
		contentType  string
		contains     string
	}{
		{"page", h, "GET", "/", 200, "text/html", "1/12 failed: gce-us-east1b"},
		{"newest revision", h, "GET", "/revisions/" + newestSHA, 200, "text/html", "1/12 failed"},
		{"newest revision, abbreviated", h, "GET", "/revisions/1A2B3C4", 200, "text/html", "1/12 failed"},
		{"earlier revision", h, "GET", "/revisions/" + earlierSHA, 200, "text/html", "this was " + earlierSHA},
		{"earlier revision, abbreviated", h, "GET", "/revisions/9f8e7d6c5", 200, "text/html", "this was " + earlierSHA},
		{"earlier revision says so", h, "GET", "/revisions/" + earlierSHA, 200, "text/html", "an earlier revision"},
		{"earlier revision's cluster", h, "GET", "/revisions/" + earlierSHA + "/clusters/gce-us-east1d", 200, "text/html", "3 created"},
		{"ambiguous abbreviation", h, "GET", "/revisions/9f8e7d6", 404, "text/html", "2 revisions begin with 9f8e7d6"},
		{"short abbreviation", h, "GET", "/revisions/1a2b3c", 404, "text/html", "too short"},
		{"no SHA", h, "GET", "/revisions/main", 404, "text/html", "is not a commit"},
		{"unknown revision", h, "GET", "/revisions/" + strings.Repeat("e", 40), 404, "text/html", "There are reports on 3 revisions"},
		{"cluster", h, "GET", "/clusters/gce-us-east1b", 200, "text/html", "provided port is already allocated"},
		{"unknown cluster", h, "GET", "/clusters/nowhere", 404, "text/html", "no member cluster &#34;nowhere&#34;"},
		{"unknown page", h, "GET", "/nothing/here", 404, "text/html", "no page at this address"},
		{"starting", starting, "GET", "/", 200, "text/html", "fedsync is starting"},
		{"starting cluster", starting, "GET", "/clusters/any", 200, "text/html", "connection refused"},
		{"starting revision", starting, "GET", "/revisions/" + newestSHA, 404, "text/html", "There are no reports yet"},
		{"style", h, "GET", "/assets/style.css", 200, "text/css", "prefers-color-scheme"},
		{"icon", h, "GET", "/assets/failure.svg", 200, "image/svg+xml", "<svg"},
		{"unknown asset", h, "GET", "/assets/none", 404, "text/html", ""},
		{"asset outside", h, "GET", "/assets/..%2Fweb.go", 404, "text/html", ""},
		{"report", h, "GET", "/api/v1/report", 200, "application/json", `"state": "failure"`},
		{"report of a revision", h, "GET", "/api/v1/revisions/9f8e7d6c5", 200, "application/json", `"this was 9f8e7d6c5b4a`},
		{"report of an unknown revision", h, "GET", "/api/v1/revisions/" + strings.Repeat("e", 40), 404, "application/json", `{"error":"There is no report on eeee`},
		{"no report yet", starting, "GET", "/api/v1/report", 503, "application/json", `{"error":`},
		{"unknown API", h, "GET", "/api/v2", 404, "application/json", `{"error":`},
		{"healthz", starting, "GET", "/healthz", 200, "text/plain", "ok"},
		{"healthz of a daemon that hangs", hung, "GET", "/healthz", 503, "text/plain", "not alive: " + errHung.Error()},
		{"readyz", h, "GET", "/readyz", 200, "text/plain", "ok"},
		{"not ready", starting, "GET", "/readyz", 503, "text/plain", "not ready: " + errNotFetched.Error()},
		{"metrics", h, "GET", "/metrics", 200, "text/plain", ""},
		{"post to the page", h, "POST", "/", 405, "text/plain", "read-only"},
		{"post to no forge's webhook", h, "POST", "/webhook", 404, "text/plain", "/webhook/gitea"},
		{"delete a revision", h, "DELETE", "/revisions/" + newestSHA, 405, "text/plain", ""},
		{"put a report", h, "PUT", "/api/v1/report", 405, "text/plain", ""},
		{"post to healthz", h, "POST", "/healthz", 405, "text/plain", ""},
		{"get the webhook", h, "GET", "/webhook/gitea", 405, "text/plain", "POST"},
		{"put the webhook", h, "PUT", "/webhook/gitea", 405, "text/plain", "POST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			c.h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
			if w.Code != c.code {
				t.Errorf("%s %s = %d, want %d", c.method, c.path, w.Code, c.code)
			}
			if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, c.contentType) {
				t.Errorf("%s %s has the type %q, want %q", c.method, c.path, got, c.contentType)
			}
			if !strings.Contains(w.Body.String(), c.contains) {
				t.Errorf("%s %s = %.2000s\nwant %q in it", c.method, c.path, w.Body, c.contains)
			}
			if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
				t.Errorf("%s %s does not list the methods it allows", c.method, c.path)
			}
			for header, want := range map[string]string{
				"Content-Security-Policy": contentSecurityPolicy,
				"X-Content-Type-Options":  "nosniff",
				"X-Frame-Options":         "DENY",
				"Referrer-Policy":         "no-referrer",
				"Set-Cookie":              "",
			} {
				if got := w.Header().Get(header); got != want {
					t.Errorf("%s %s has %s: %q, want %q", c.method, c.path, header, got, want)
				}
			}
		})
	}
}

func TestPagesAreNotStored(t *testing.T) {
	for _, path := range []string{"/", "/clusters/gce-us-east1b", "/revisions/" + earlierSHA, "/healthz", "/nothing"} {
		if got := get(t, New(site(t)), path).Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("GET %s has Cache-Control: %q, want no-store", path, got)
		}
	}
}

func TestOnlyPagesThatMayChangeRefresh(t *testing.T) {
	const refresh = `<meta http-equiv="refresh" content="10" />`
	starting := New(Options{})
	for path, want := range map[string]bool{
		"/":                                      true,
		"/?refresh=off":                          false,
		"/clusters/gce-us-east1b":                true,
		"/revisions/" + newestSHA:                true,
		"/revisions/" + earlierSHA:               false,
		"/revisions/" + strings.Repeat("e", 40):  true, // it may have a report soon
		"/revisions/9f8e7d6":                     false,
		"/nothing":                               false,
		"/clusters/gce-us-east1b?refresh=off":    false,
		"/revisions/" + newestSHA + "?refresh=0": true,
	} {
		if got := strings.Contains(get(t, New(site(t)), path).Body.String(), refresh); got != want {
			t.Errorf("GET %s refreshes: %v, want %v", path, got, want)
		}
	}
	if !strings.Contains(get(t, starting, "/").Body.String(), refresh) {
		t.Error("the page before the first report does not refresh")
	}
}

func TestHeadAnswersWithoutABody(t *testing.T) {
	srv := httptest.NewServer(New(site(t)))
	defer srv.Close()
	for _, path := range []string{"/", "/api/v1/report", "/healthz", "/assets/style.css", "/revisions/" + earlierSHA} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if err != nil || resp.StatusCode != 200 || len(body) != 0 {
			t.Errorf("HEAD %s = %d with %d bytes, %v; want 200 with none", path, resp.StatusCode, len(body), err)
		}
	}
}

func TestTheReportIsSentOnlyIfItChanged(t *testing.T) {
	opts := site(t)
	report := opts.Report()
	opts.Report = func() *status.Report { return report }
	h := New(opts)
	ask := func(match string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/report", nil)
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	tag := ask("").Header().Get("ETag")
	if tag == "" {
		t.Fatal("the report has no ETag")
	}
	for match, want := range map[string]int{tag: 304, `"other", W/` + tag: 304, "*": 304, `"other"`: 200} {
		if w := ask(match); w.Code != want || (want == 304 && w.Body.Len() > 0) {
			t.Errorf("If-None-Match: %s = %d with %d bytes, want %d", match, w.Code, w.Body.Len(), want)
		}
	}
	changed := *report
	changed.Description = untrusted.New("another")
	report = &changed
	if w := ask(tag); w.Code != 200 || !strings.Contains(w.Body.String(), "another") {
		t.Errorf("the changed report = %d, want 200 and its text", w.Code)
	}
}

func TestEmptyListsAreListsInTheAPI(t *testing.T) {
	r := &status.Report{Clusters: []status.Cluster{{Name: "a"}}, Addresses: []status.Address{{Address: "192.0.2.1"}}}
	body := get(t, New(Options{Report: func() *status.Report { return r }}), "/api/v1/report").Body.String()
	if strings.Contains(body, "null") {
		t.Errorf("the report contains null:\n%s", body)
	}
	if r.Findings != nil || r.Clusters[0].Objects != nil {
		t.Error("the report was changed by its encoding")
	}
}

func TestAPanicCostsOneRequest(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	h := New(Options{Report: func() *status.Report { panic("a broken report") }, Log: zap.New(core)})
	if w := get(t, h, "/"); w.Code != 500 || strings.Contains(w.Body.String(), "broken") {
		t.Errorf("GET / = %d %q, want 500 without the reason", w.Code, w.Body)
	}
	if logs.FilterMessage("request failed").Len() != 1 {
		t.Errorf("log = %v, want one error", logs.All())
	}
	if w := get(t, h, "/healthz"); w.Code != 200 {
		t.Errorf("GET /healthz after it = %d, want 200", w.Code)
	}
}

func TestRequestsAreInTheDebugLog(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	opts := site(t)
	opts.Log = zap.New(core)
	get(t, New(opts), "/clusters/nowhere")
	entries := logs.FilterMessage("request served").All()
	if len(entries) != 1 {
		t.Fatalf("log = %v, want one request", logs.All())
	}
	fields := entries[0].ContextMap()
	if fields["path"] != "/clusters/nowhere" || fields["status"] != int64(404) || fields["method"] != "GET" {
		t.Errorf("log = %v, want GET /clusters/nowhere 404", fields)
	}
}

func TestMetricsComeFromTheGatherer(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := metrics.New(reg, "v1"); err != nil {
		t.Fatal(err)
	}
	body := get(t, New(Options{Gatherer: reg}), "/metrics").Body.String()
	if !strings.Contains(body, `fedsync_syncs_total{result="failure"} 0`) {
		t.Errorf("GET /metrics = %s\nwant fedsync_syncs_total", body)
	}
}
